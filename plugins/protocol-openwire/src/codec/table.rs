// SPDX-License-Identifier: Apache-2.0
//! The language of the tables: a struct with its fields in their order on the wire is a struct, its reader and its writer,
//! for both encodings and all versions.
//!
//! ```text
//!   name: Type                 always
//!   name: Type [cached]        through the cache
//!   name: Type [since 3]       from version 3 on
//!   name: Type [since 5 else -2]   from version 5 on; before, this value
//!   name: Type [code]          not on the wire: which of several types it is
//!   name: Type [tail]          more fields, of some of those types only
//!   name: Type [content]       the body of a message
//! ```

/// Reads one field.
macro_rules! read_field {
    ($r:ident, $code:ident, $ty:ty) => {
        <$ty as Field>::read($r)?
    };
    ($r:ident, $code:ident, $ty:ty, cached) => {
        <$ty as CachedField>::read_cached($r)?
    };
    ($r:ident, $code:ident, $ty:ty, since $version:literal) => {
        if $r.version >= $version { <$ty as Field>::read($r)? } else { Default::default() }
    };
    ($r:ident, $code:ident, $ty:ty, since $version:literal else $before:expr) => {
        if $r.version >= $version { <$ty as Field>::read($r)? } else { $before }
    };
    ($r:ident, $code:ident, $ty:ty, code) => {
        <$ty>::of_code($code).ok_or_else(|| $r.unknown($code))?
    };
    ($r:ident, $code:ident, $ty:ty, tail) => {
        <$ty as Tail>::read_tail($code, $r)?
    };
    ($r:ident, $code:ident, $ty:ty, content) => {
        $r.content()?
    };
}

/// Writes one field.
macro_rules! write_field {
    ($w:ident, $value:expr) => {
        $value.write($w)?
    };
    ($w:ident, $value:expr, cached) => {
        $value.write_cached($w)?
    };
    ($w:ident, $value:expr, since $version:literal) => {
        if $w.version >= $version {
            $value.write($w)?
        }
    };
    ($w:ident, $value:expr, since $version:literal else $before:expr) => {
        write_field!($w, $value, since $version)
    };
    ($w:ident, $value:expr, code) => {};
    ($w:ident, $value:expr, tail) => {};
    ($w:ident, $value:expr, content) => {
        $w.content($value.as_ref())?
    };
}

/// A struct with its fields in their order on the wire.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$field_meta:meta])* $field:ident : $ty:ty $([ $($how:tt)+ ])? , )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        impl Body for $name {
            #[inline]
            #[allow(unused_variables, reason = "not every struct has fields that ask for them")]
            fn read_body<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
                Ok($name {
                    $( $field: {
                        r.enter(const { &Place { command: stringify!($name), field: stringify!($field) } });
                        read_field!(r, code, $ty $(, $($how)+)?)
                    }, )*
                })
            }

            #[inline]
            #[allow(unused_variables, reason = "not every struct has fields that ask for them")]
            fn write_body<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
                $(
                    w.enter(const { &Place { command: stringify!($name), field: stringify!($field) } });
                    write_field!(w, self.$field $(, $($how)+)?);
                )*
                Ok(())
            }
        }
    };
}

/// A struct that may stand in a field, with its type and since when it exists.
macro_rules! nested {
    ($name:ident = $code:literal $([since $version:literal])?) => {
        impl Nested for $name {
            #[inline]
            fn code(&self) -> u8 {
                $code
            }

            #[inline]
            fn read<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
                match code {
                    $code => Self::read_body(code, r),
                    _ => Err(r.unknown(code)),
                }
            }

            #[inline]
            fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
                $(
                    if w.version < $version {
                        return Err(Error::NotInVersion { command: stringify!($name), version: w.version });
                    }
                )?
                self.write_body(w)
            }
        }
    };
}

/// Commands: structs that begin with a number and whether they want an answer; and the enum of all of them.
macro_rules! commands {
    (
        $(
            $(#[$meta:meta])*
            $name:ident = $code:literal $([since $version:literal])? $kind:ident {
                $( $(#[$field_meta:meta])* $field:ident : $ty:ty $([ $($how:tt)+ ])? , )*
            }
        )*
    ) => {
        $(
            record! {
                $(#[$meta])*
                #[derive(Default)]
                $name {
                    /// The number that a response refers to.
                    command_id: i32,
                    /// Whether the sender waits for a response.
                    response_required: bool,
                    $( $(#[$field_meta])* $field: $ty $([ $($how)+ ])?, )*
                }
            }
            nested!($name = $code $([since $version])?);

            impl From<$name> for Command {
                fn from(command: $name) -> Command {
                    Command::$name(slot!(@new $kind command))
                }
            }
        )*

        /// What one side tells the other: a frame.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Command {
            /// The first frame of each side.
            WireFormatInfo(Box<WireFormatInfo>),
            /// A message on its way to the broker. (On its way to a client it stands in a [`MessageDispatch`].)
            Message(Box<Message>),
            /// A piece of a frame that is too long for a datagram.
            PartialCommand(PartialCommand),
            /// The last such piece.
            LastPartialCommand(LastPartialCommand),
            $( $(#[$meta])* $name(slot!(@type $kind $name)), )*
        }

        impl Command {
            /// The type on the wire.
            pub fn code(&self) -> u8 {
                match self {
                    Command::WireFormatInfo(_) => 1,
                    Command::Message(message) => Nested::code(&**message),
                    Command::PartialCommand(command) => Nested::code(command),
                    Command::LastPartialCommand(command) => Nested::code(command),
                    $( Command::$name(_) => $code, )*
                }
            }

            /// Its name, as the protocol's documents have it.
            pub fn name(&self) -> &'static str {
                match self {
                    Command::WireFormatInfo(_) => "WireFormatInfo",
                    Command::Message(message) => message.kind.name(),
                    Command::PartialCommand(_) => "PartialCommand",
                    Command::LastPartialCommand(_) => "LastPartialCommand",
                    $( Command::$name(_) => stringify!($name), )*
                }
            }

            /// The number that a response refers to; 0 where there is none.
            pub fn command_id(&self) -> i32 {
                match self {
                    Command::WireFormatInfo(_) => 0,
                    Command::Message(message) => message.command_id,
                    Command::PartialCommand(command) => command.command_id,
                    Command::LastPartialCommand(command) => command.command_id,
                    $( Command::$name(command) => command.command_id, )*
                }
            }

            /// Gives it a number.
            pub fn set_command_id(&mut self, command_id: i32) {
                match self {
                    Command::WireFormatInfo(_) => {}
                    Command::Message(message) => message.command_id = command_id,
                    Command::PartialCommand(command) => command.command_id = command_id,
                    Command::LastPartialCommand(command) => command.command_id = command_id,
                    $( Command::$name(command) => command.command_id = command_id, )*
                }
            }

            /// Whether the sender waits for a response.
            pub fn response_required(&self) -> bool {
                match self {
                    Command::WireFormatInfo(_)
                    | Command::PartialCommand(_)
                    | Command::LastPartialCommand(_) => false,
                    Command::Message(message) => message.response_required,
                    $( Command::$name(command) => command.response_required, )*
                }
            }

            /// Says whether the sender waits for a response. Some commands never have one.
            pub fn set_response_required(&mut self, required: bool) {
                match self {
                    Command::WireFormatInfo(_)
                    | Command::PartialCommand(_)
                    | Command::LastPartialCommand(_) => {}
                    Command::Message(message) => message.response_required = required,
                    $( Command::$name(command) => command.response_required = required, )*
                }
            }
        }

        impl Command {
            /// Reads what follows the type; `None`: it is not the type of a command, or not of this version.
            #[inline]
            pub(super) fn read_command<const T: bool>(
                code: u8,
                r: &mut Reader<'_, T>,
            ) -> Result<Option<Command>, Error> {
                Ok(Some(match code {
                    23..=29 => Command::Message(Box::new(<Message as Nested>::read(code, r)?)),
                    60 => Command::PartialCommand(<PartialCommand as Nested>::read(code, r)?),
                    61 => Command::LastPartialCommand(<LastPartialCommand as Nested>::read(code, r)?),
                    $( $code $(if r.version >= $version)? => {
                        Command::$name(slot!(@new $kind <$name as Body>::read_body(code, r)?))
                    } )*
                    _ => return Ok(None),
                }))
            }

            #[inline]
            pub(super) fn write_command<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
                match self {
                    // Written apart; it cannot stand within another command.
                    Command::WireFormatInfo(_) => {
                        Err(Error::NotInVersion { command: "nested WireFormatInfo", version: w.version })
                    }
                    Command::Message(message) => Nested::write(&**message, w),
                    Command::PartialCommand(command) => Nested::write(command, w),
                    Command::LastPartialCommand(command) => Nested::write(command, w),
                    $( Command::$name(command) => <$name as Nested>::write(command, w), )*
                }
            }
        }
    };
}

/// Whether a command stands in its variant itself or in a box of its own, so that the enum stays small.
macro_rules! slot {
    (@type boxed $name:ident) => { Box<$name> };
    (@type inline $name:ident) => { $name };
    (@new boxed $value:expr) => { Box::new($value) };
    (@new inline $value:expr) => { $value };
}

pub(super) use {commands, nested, read_field, record, slot, write_field};
