// SPDX-License-Identifier: Apache-2.0
//! A Java exception, as texts. The class is a name and nothing more: nothing here looks it up or makes anything of it.

use super::error::Error;
use super::field::Field;
use super::reader::Reader;
use super::writer::Writer;

/// An exception as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Throwable {
    /// Java's name of the class.
    pub class: Box<str>,
    /// What went wrong.
    pub message: Option<Box<str>>,
    /// Where; only when both peers want stack traces.
    pub stack: Vec<StackFrame>,
    /// Why; only when both peers want stack traces.
    pub cause: Option<Box<Throwable>>,
}

/// A line of a stack trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StackFrame {
    /// The class.
    pub class: Option<Box<str>>,
    /// The method.
    pub method: Option<Box<str>>,
    /// The source file.
    pub file: Option<Box<str>>,
    /// The line; -1: unknown, -2: native code.
    pub line: i32,
}

impl Throwable {
    /// An exception without stack and cause.
    pub fn new(class: &str, message: &str) -> Throwable {
        Throwable { class: class.into(), message: Some(message.into()), ..Throwable::default() }
    }
}

impl Field for Option<Box<Throwable>> {
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        if !r.boolean()? {
            return Ok(None);
        }
        r.keep(size_of::<Throwable>())?;
        let class = r.text()?.unwrap_or_default();
        let message = r.text()?;
        let (mut stack, mut cause) = (Vec::new(), None);
        if r.stack_trace {
            let lines = r.cursor.length_i16()?;
            r.keep(lines * size_of::<StackFrame>())?;
            stack.reserve_exact(lines);
            for _ in 0..lines {
                let (class, method, file) = (r.text()?, r.text()?, r.text()?);
                stack.push(StackFrame { class, method, file, line: r.cursor.i32()? });
            }
            r.deeper()?;
            cause = Self::read(r)?;
            r.back();
        }
        Ok(Some(Box::new(Throwable { class, message, stack, cause })))
    }

    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.boolean(self.is_some());
        let Some(throwable) = self else { return Ok(()) };
        w.text(Some(&throwable.class))?;
        w.text(throwable.message.as_deref())?;
        if w.stack_trace {
            w.length_i16(throwable.stack.len())?;
            for frame in &throwable.stack {
                w.text(frame.class.as_deref())?;
                w.text(frame.method.as_deref())?;
                w.text(frame.file.as_deref())?;
                w.put(&frame.line.to_be_bytes());
            }
            throwable.cause.write(w)?;
        }
        Ok(())
    }
}
