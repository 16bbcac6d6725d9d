// SPDX-License-Identifier: Apache-2.0
//! What a record says: a type, and a message of protocol buffers with its length in front.

use super::proto::{BadBytes, Fields, number};

/// A destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Named<'a> {
    /// 0 queue, 1 topic, 2 temporary queue, 3 temporary topic.
    pub kind: u64,
    /// Its name.
    pub name: &'a str,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transaction {
    /// Of one connection.
    Local(String, u64),
    /// A branch of a distributed one.
    Xa {
        /// Who names its transactions in this manner.
        format: i32,
        /// The transaction.
        global: Vec<u8>,
        /// The branch.
        branch: Vec<u8>,
    },
}

/// A message that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add<'a> {
    /// In which transaction.
    pub transaction: Option<Transaction>,
    /// Where.
    pub destination: Named<'a>,
    /// Its id.
    pub id: &'a str,
    /// The message, as OpenWire writes it.
    pub message: &'a [u8],
}

/// A message that is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remove<'a> {
    /// In which transaction.
    pub transaction: Option<Transaction>,
    /// Where.
    pub destination: Named<'a>,
    /// Its id.
    pub id: &'a str,
    /// By which durable subscription; `None`: it is a queue's.
    pub subscription: Option<&'a str>,
}

/// A message that is put off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job<'a> {
    /// Its id.
    pub id: &'a str,
    /// When, as cron says it; empty: not so.
    pub cron: &'a str,
    /// How far apart repetitions are, in milliseconds.
    pub period_ms: i64,
    /// How many repetitions; -1: without end.
    pub repeat: i32,
    /// When it is due next, in milliseconds since 1970.
    pub next_ms: i64,
    /// The message, as OpenWire writes it.
    pub message: &'a [u8],
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A message is stored.
    Add(Add<'a>),
    /// A stored message is another now.
    Update(Add<'a>),
    /// A message is acknowledged.
    Remove(Remove<'a>),
    /// A transaction will be committed or rolled back.
    Prepare(Transaction),
    /// A transaction is committed.
    Commit(Transaction),
    /// A transaction is rolled back.
    Rollback(Transaction),
    /// A destination goes.
    RemoveDestination(Named<'a>),
    /// A durable subscription begins, changes or (without information) ends.
    Subscription {
        /// The topic.
        destination: Named<'a>,
        /// The subscription's name within it.
        key: &'a str,
        /// Whether it gets what was there before.
        retroactive: bool,
        /// What OpenWire writes of it; `None`: it ends.
        info: Option<&'a [u8]>,
    },
    /// What follows in this file was copied from another.
    Rewritten {
        /// The other.
        source: u32,
    },
    /// A message is put off.
    AddJob(Job<'a>),
    /// It is due at another time.
    Reschedule {
        /// Which.
        id: &'a str,
        /// When, in milliseconds since 1970.
        next_ms: i64,
    },
    /// It is put off no longer.
    RemoveJob {
        /// Which.
        id: &'a str,
    },
    /// All are put off no longer that are due in a span of time.
    RemoveJobs {
        /// Its first millisecond since 1970.
        from_ms: i64,
        /// Its last.
        to_ms: i64,
    },
    /// All are put off no longer.
    RemoveAllJobs,
    /// Something that says nothing of messages.
    Other(u8),
}

/// Why a record cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The bytes are none.
    #[error("its bytes are no record of KahaDB")]
    Bad,
    /// A type that is not known.
    #[error("it is of the unknown type {0}")]
    Unknown(u8),
}

impl From<BadBytes> for EntryError {
    fn from(_: BadBytes) -> Self {
        EntryError::Bad
    }
}

impl<'a> Entry<'a> {
    /// Reads what a record says.
    pub fn parse(record: &'a [u8]) -> Result<Self, EntryError> {
        let (kind, mut rest) = record.split_first().ok_or(EntryError::Bad)?;
        let len = number(&mut rest).and_then(|len| usize::try_from(len).ok()).ok_or(EntryError::Bad)?;
        let body = rest.get(..len).ok_or(EntryError::Bad)?;
        Ok(match kind {
            1 => Entry::Add(add(body)?),
            2 => Entry::Remove(remove(body)?),
            3 => Entry::Prepare(of_transaction(body)?),
            4 => Entry::Commit(of_transaction(body)?),
            5 => Entry::Rollback(of_transaction(body)?),
            6 => Entry::RemoveDestination(destination(bytes(body, 1)?.ok_or(EntryError::Bad)?)?),
            7 => subscription(body)?,
            10 => Entry::Update(add(bytes(body, 1)?.ok_or(EntryError::Bad)?)?),
            11 => Entry::AddJob(job(body)?),
            12 => Entry::Reschedule { id: text(body, 2)?, next_ms: whole(body, 4)? },
            13 => Entry::RemoveJob { id: text(body, 2)? },
            14 => Entry::RemoveJobs { from_ms: whole(body, 2)?, to_ms: whole(body, 3)? },
            15 => Entry::RemoveAllJobs,
            16 => {
                let source = u32::try_from(whole(body, 1)?).map_err(|_| EntryError::Bad)?;
                Entry::Rewritten { source }
            }
            // Traces, what producers have sent, and which files have acknowledgements of which.
            0 | 8 | 9 => Entry::Other(*kind),
            other => return Err(EntryError::Unknown(*other)),
        })
    }
}

/// The last field with this number that is bytes.
fn bytes(message: &[u8], field: u32) -> Result<Option<&[u8]>, EntryError> {
    let mut found = None;
    for read in Fields::new(message) {
        let (number, value) = read?;
        if number == field {
            found = value.bytes().or(found);
        }
    }
    Ok(found)
}

fn text(message: &[u8], field: u32) -> Result<&str, EntryError> {
    let bytes = bytes(message, field)?.ok_or(EntryError::Bad)?;
    std::str::from_utf8(bytes).map_err(|_| EntryError::Bad)
}

fn whole(message: &[u8], field: u32) -> Result<i64, EntryError> {
    let mut found = None;
    for read in Fields::new(message) {
        let (number, value) = read?;
        if number == field {
            found = value.number().or(found);
        }
    }
    found.map(|number| number as i64).ok_or(EntryError::Bad)
}

fn destination(message: &[u8]) -> Result<Named<'_>, EntryError> {
    let kind = whole(message, 1).map_or(0, |kind| kind as u64);
    Ok(Named { kind, name: text(message, 2)? })
}

fn transaction(message: &[u8]) -> Result<Option<Transaction>, EntryError> {
    if let Some(local) = bytes(message, 1)? {
        // Both fields have the number 1: one is a text, the other a number.
        let id = whole(local, 1)? as u64;
        return Ok(Some(Transaction::Local(text(local, 1)?.to_owned(), id)));
    }
    let Some(xa) = bytes(message, 2)? else { return Ok(None) };
    let part = |field| bytes(xa, field).and_then(|part| part.map(<[u8]>::to_vec).ok_or(EntryError::Bad));
    let format = whole(xa, 1)? as i32;
    Ok(Some(Transaction::Xa { format, branch: part(2)?, global: part(3)? }))
}

fn of_transaction(body: &[u8]) -> Result<Transaction, EntryError> {
    let info = bytes(body, 1)?.ok_or(EntryError::Bad)?;
    transaction(info)?.ok_or(EntryError::Bad)
}

fn in_transaction(body: &[u8]) -> Result<Option<Transaction>, EntryError> {
    bytes(body, 1)?.map_or(Ok(None), transaction)
}

fn add(body: &[u8]) -> Result<Add<'_>, EntryError> {
    Ok(Add {
        transaction: in_transaction(body)?,
        destination: destination(bytes(body, 2)?.ok_or(EntryError::Bad)?)?,
        id: text(body, 3)?,
        message: bytes(body, 4)?.ok_or(EntryError::Bad)?,
    })
}

fn remove(body: &[u8]) -> Result<Remove<'_>, EntryError> {
    let subscription = bytes(body, 5)?.map(std::str::from_utf8).transpose();
    Ok(Remove {
        transaction: in_transaction(body)?,
        destination: destination(bytes(body, 2)?.ok_or(EntryError::Bad)?)?,
        id: text(body, 3)?,
        subscription: subscription.map_err(|_| EntryError::Bad)?,
    })
}

fn subscription(body: &[u8]) -> Result<Entry<'_>, EntryError> {
    Ok(Entry::Subscription {
        destination: destination(bytes(body, 1)?.ok_or(EntryError::Bad)?)?,
        key: text(body, 2)?,
        retroactive: whole(body, 3).is_ok_and(|value| value != 0),
        info: bytes(body, 4)?,
    })
}

fn job(body: &[u8]) -> Result<Job<'_>, EntryError> {
    Ok(Job {
        id: text(body, 2)?,
        cron: text(body, 4).unwrap_or_default(),
        period_ms: whole(body, 6)?,
        repeat: whole(body, 7)? as i32,
        next_ms: whole(body, 9)?,
        message: bytes(body, 8)?.ok_or(EntryError::Bad)?,
    })
}

/// Writing what is read here, for tests.
#[cfg(test)]
pub mod written {
    use super::super::proto::Value;

    fn put_number(out: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }

    /// A message of these fields.
    pub fn message(fields: &[(u32, Value<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, value) in fields {
            match value {
                Value::Number(number) => {
                    put_number(&mut out, u64::from(field << 3));
                    put_number(&mut out, *number);
                }
                Value::Bytes(bytes) => {
                    put_number(&mut out, u64::from(field << 3 | 2));
                    put_number(&mut out, bytes.len() as u64);
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    /// A record of this type.
    pub fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind];
        put_number(&mut out, body.len() as u64);
        out.extend_from_slice(body);
        out
    }

    /// A destination.
    pub fn named(kind: u64, name: &str) -> Vec<u8> {
        message(&[(1, Value::Number(kind)), (2, Value::Bytes(name.as_bytes()))])
    }

    /// A local transaction.
    pub fn local(connection: &str, id: u64) -> Vec<u8> {
        let local = message(&[(1, Value::Bytes(connection.as_bytes())), (1, Value::Number(id))]);
        message(&[(1, Value::Bytes(&local))])
    }

    /// A branch.
    pub fn xa(format: i32, global: &[u8], branch: &[u8]) -> Vec<u8> {
        let format = Value::Number(i64::from(format) as u64);
        let xa = message(&[(1, format), (2, Value::Bytes(branch)), (3, Value::Bytes(global))]);
        message(&[(2, Value::Bytes(&xa))])
    }

    /// A message that is stored.
    pub fn add(transaction: Option<&[u8]>, destination: &[u8], id: &str, bytes: &[u8]) -> Vec<u8> {
        let mut fields: Vec<(u32, Value<'_>)> =
            transaction.map(|transaction| (1, Value::Bytes(transaction))).into_iter().collect();
        fields.push((2, Value::Bytes(destination)));
        fields.push((3, Value::Bytes(id.as_bytes())));
        fields.push((4, Value::Bytes(bytes)));
        record(1, &message(&fields))
    }

    /// A message that is acknowledged.
    pub fn remove(transaction: Option<&[u8]>, destination: &[u8], id: &str, by: Option<&str>) -> Vec<u8> {
        let mut fields: Vec<(u32, Value<'_>)> =
            transaction.map(|transaction| (1, Value::Bytes(transaction))).into_iter().collect();
        fields.push((2, Value::Bytes(destination)));
        fields.push((3, Value::Bytes(id.as_bytes())));
        fields.extend(by.map(|by| (5, Value::Bytes(by.as_bytes()))));
        record(2, &message(&fields))
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::Value;
    use super::*;

    #[test]
    fn records_are_understood() {
        let queue = written::named(0, "orders");
        let bytes = written::add(Some(&written::local("ID:c", 7)), &queue, "ID:1", b"message");
        let Ok(Entry::Add(add)) = Entry::parse(&bytes) else { panic!("{:?}", Entry::parse(&bytes)) };
        assert_eq!(add.transaction, Some(Transaction::Local("ID:c".to_owned(), 7)));
        assert_eq!((add.destination, add.id), (Named { kind: 0, name: "orders" }, "ID:1"));
        assert_eq!(add.message, b"message");
        let xa = written::xa(-3, b"global", b"branch");
        let bytes = written::record(3, &written::message(&[(1, Value::Bytes(&xa))]));
        let (global, branch) = (b"global".to_vec(), b"branch".to_vec());
        assert_eq!(Entry::parse(&bytes), Ok(Entry::Prepare(Transaction::Xa { format: -3, global, branch })));
    }

    #[test]
    fn whatever_stands_in_a_record_is_no_panic() {
        let queue = written::named(0, "orders");
        let good = written::add(Some(&written::xa(1, b"g", b"b")), &queue, "ID:1", b"message");
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = Entry::parse(&bad);
                let _ = Entry::parse(&bad[..at]);
            }
        }
        assert_eq!(Entry::parse(&[77, 0]), Err(EntryError::Unknown(77)));
        assert_eq!(Entry::parse(&[]), Err(EntryError::Bad));
    }
}
