// SPDX-License-Identifier: Apache-2.0
//! Destinations that clients make and remove: temporary ones above all, which belong to their connection.

use super::asked::Asked;
use super::destination::{self, Use};
use super::problem::{Exception, Problem, class};
use super::{Core, Step};
use crate::codec::DestinationInfo;
use sabir_model::verb::{Declare, Delete};
use sabir_sdk::protocol::{Out, VerbMeta};

impl Core {
    /// A destination is made or removed.
    pub fn on_destination_info(
        &mut self,
        info: &DestinationInfo,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let token = Asked::token(info.command_id, info.response_required);
        let meta = VerbMeta { token, confirm: info.response_required, ..VerbMeta::default() };
        self.make_destination(info, meta, out)
    }

    /// The same, with what is to be done about the answer.
    pub fn make_destination(
        &mut self,
        info: &DestinationInfo,
        meta: VerbMeta,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let missing = || Problem::missing("DestinationInfo", "destination");
        let named = info.destination.as_ref().ok_or_else(missing)?;
        let mut found = destination::resolve(named, Use::Send, 1)?;
        let destination = found.pop().ok_or_else(missing)?;
        let temporary = destination.kind.is_temporary();
        match info.operation_type {
            DestinationInfo::ADD => out.declare(
                meta,
                &Declare {
                    destination,
                    exchange_kind: None,
                    durable: !temporary,
                    auto_delete: false,
                    exclusive: temporary,
                    passive: false,
                },
            ),
            DestinationInfo::REMOVE => out.delete(
                meta,
                &Delete {
                    destination: Some(destination),
                    subscription_name: None,
                    if_empty: false,
                    if_unused: !temporary,
                },
            ),
            other => {
                let text = format!("a destination is made (0) or removed (1), there is no {other}");
                return Err(Exception::new(class::JMS, text).refused());
            }
        }
        Ok(if out.overflowed() { Step::Full } else { Step::Done })
    }
}
