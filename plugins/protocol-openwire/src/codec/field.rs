// SPDX-License-Identifier: Apache-2.0
//! How each type of field is read and written. The table in `table.rs` names the types, this says what they are on the wire.

use super::blob::Blob;
use super::cache::ObjectId;
use super::error::Error;
use super::reader::Reader;
use super::writer::Writer;
use std::sync::Arc;

/// A type of field.
pub(super) trait Field: Sized {
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error>;
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error>;
}

/// A data structure that stands in a field: its type, then its body.
pub(super) trait Nested: Sized {
    fn code(&self) -> u8;
    fn read<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error>;
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error>;
}

/// A struct of the table: its fields one after another, without the type in front.
pub(super) trait Body: Sized {
    fn read_body<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error>;
    fn write_body<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error>;
}

/// A data structure that can stand in the cache.
pub(super) trait Shared: Sized {
    fn wrap(value: Arc<Self>) -> ObjectId;
    fn unwrap(value: &ObjectId) -> Option<&Arc<Self>>;
    fn shared_code(&self) -> u8;
    fn read_shared<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error>;
    fn write_shared<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error>;
}

/// A field that goes through the cache.
pub(super) trait CachedField: Sized {
    fn read_cached<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error>;
    fn write_cached<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error>;
}

/// The types of messages, which carry one boolean more where they are nested.
pub(super) fn is_message(code: u8) -> bool {
    (23..=29).contains(&code)
}

impl Field for bool {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<bool, Error> {
        r.boolean()
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.boolean(*self);
        Ok(())
    }
}

impl Field for i8 {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<i8, Error> {
        r.cursor.u8().map(|byte| byte as i8)
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.put(&self.to_be_bytes());
        Ok(())
    }
}

impl Field for u8 {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<u8, Error> {
        r.cursor.u8()
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.put(&[*self]);
        Ok(())
    }
}

impl Field for i32 {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<i32, Error> {
        r.cursor.i32()
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.put(&self.to_be_bytes());
        Ok(())
    }
}

impl Field for i64 {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<i64, Error> {
        r.long()
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.long(*self);
        Ok(())
    }
}

impl Field for Option<Box<str>> {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        r.text()
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.text(self.as_deref())
    }
}

/// A text that must be there.
impl Field for Box<str> {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        r.text()?.ok_or_else(|| r.null())
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.text(Some(self))
    }
}

/// Short bytes that are copied out of the frame.
impl Field for Option<Box<[u8]>> {
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        let Some(bytes) = r.bytes()? else { return Ok(None) };
        r.keep(bytes.len())?;
        Ok(Some(bytes.into()))
    }

    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.bytes(self.as_deref())
    }
}

/// The same, when they must be there.
impl Field for Box<[u8]> {
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        <Option<Box<[u8]>>>::read(r)?.ok_or_else(|| r.null())
    }

    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.bytes(Some(self))
    }
}

/// Bytes that stay in the frame.
impl Field for Option<Blob> {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        r.blob()
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.blob(self.as_ref())
    }
}

impl<N: Nested> Field for Option<N> {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        r.nested()
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.nested(self.as_ref())
    }
}

/// An array: its elements must be there, so each takes at least the byte of its type.
impl<N: Nested> Field for Option<Vec<N>> {
    #[inline]
    fn read<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        match r.boolean()? {
            true => read_array(r).map(Some),
            false => Ok(None),
        }
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.boolean(self.is_some());
        let Some(elements) = self else { return Ok(()) };
        w.length_i16(elements.len())?;
        elements.iter().try_for_each(|element| w.nested(Some(element)))
    }
}

fn read_array<N: Nested, const T: bool>(r: &mut Reader<'_, T>) -> Result<Vec<N>, Error> {
    let what = r.what();
    let count = r.cursor.length_i16()?;
    r.keep(count * size_of::<N>())?;
    r.deeper()?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        r.enter(what);
        elements.push(r.nested()?.ok_or(Error::Null { what })?);
    }
    r.back();
    Ok(elements)
}

impl<N: Nested> Nested for Box<N> {
    fn code(&self) -> u8 {
        (**self).code()
    }

    fn read<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        r.keep(size_of::<N>())?;
        r.deeper()?;
        let value = N::read(code, r)?;
        r.back();
        Ok(Box::new(value))
    }

    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        (**self).write(w)
    }
}

impl<S: Shared> Nested for Arc<S> {
    #[inline]
    fn code(&self) -> u8 {
        self.shared_code()
    }

    fn read<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        r.keep(size_of::<S>() + 2 * size_of::<usize>())?;
        S::read_shared(code, r).map(Arc::new)
    }

    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        self.write_shared(w)
    }
}

impl<S: Shared> CachedField for Option<Arc<S>> {
    #[inline]
    fn read_cached<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        r.cached()
    }

    #[inline]
    fn write_cached<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.cached(self.as_ref())
    }
}

impl CachedField for Option<ObjectId> {
    fn read_cached<const T: bool>(r: &mut Reader<'_, T>) -> Result<Self, Error> {
        r.cached_object()
    }

    fn write_cached<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        w.cached_object(self.as_ref())
    }
}
