// SPDX-License-Identifier: Apache-2.0
//! The numbers of the contract and of the model are the same: `sabir-model` may not depend on `sabir-abi`, so its copies
//! are compared here.

use sabir_abi::*;
use sabir_boundary::{ErrorCode, events};
use sabir_model::BranchAct;
use sabir_model::fields::{flag, number};
use sabir_model::store::TEMPORARY;
use sabir_model::verb::Reason;

#[test]
fn field_numbers_are_those_of_the_contract() {
    let pairs = [
        (number::USER, SABIR_FIELD_USER),
        (number::PASSWORD, SABIR_FIELD_PASSWORD),
        (number::CLIENT_ID, SABIR_FIELD_CLIENT_ID),
        (number::VIRTUAL_HOST, SABIR_FIELD_VIRTUAL_HOST),
        (number::PROTOCOL, SABIR_FIELD_PROTOCOL),
        (number::DESTINATION, SABIR_FIELD_DESTINATION),
        (number::SELECTOR, SABIR_FIELD_SELECTOR),
        (number::SUBSCRIPTION_NAME, SABIR_FIELD_SUBSCRIPTION_NAME),
        (number::FLAGS, SABIR_FIELD_FLAGS),
        (number::CREDIT, SABIR_FIELD_CREDIT),
        (number::PRIORITY, SABIR_FIELD_PRIORITY),
        (number::PRODUCER_NAME, SABIR_FIELD_PRODUCER_NAME),
        (number::SOURCE, SABIR_FIELD_SOURCE),
        (number::TARGET, SABIR_FIELD_TARGET),
        (number::KEY, SABIR_FIELD_KEY),
        (number::QUERY, SABIR_FIELD_QUERY),
        (number::EXCHANGE_KIND, SABIR_FIELD_EXCHANGE_KIND),
        (number::COUNT, SABIR_FIELD_COUNT),
        (number::ARGUMENT, SABIR_FIELD_ARGUMENT),
        (number::BRANCH, SABIR_FIELD_BRANCH),
        (number::BRANCH_ACT, SABIR_FIELD_BRANCH_ACT),
        (number::MESSAGE, SABIR_FIELD_MESSAGE),
    ];
    for (model, contract) in pairs {
        assert_eq!(model, contract);
    }
}

#[test]
fn flags_are_those_of_the_contract() {
    let pairs = [
        (flag::CONNECT_EXCLUSIVE_CLIENT_ID, SABIR_CONNECT_EXCLUSIVE_CLIENT_ID),
        (flag::CONNECT_TAKE_OVER, SABIR_CONNECT_TAKE_OVER),
        (flag::SUBSCRIBE_AUTO_ACCEPT, SABIR_SUBSCRIBE_AUTO_ACCEPT),
        (flag::SUBSCRIBE_NO_LOCAL, SABIR_SUBSCRIBE_NO_LOCAL),
        (flag::SUBSCRIBE_EXCLUSIVE, SABIR_SUBSCRIBE_EXCLUSIVE),
        (flag::SUBSCRIBE_BROWSE, SABIR_SUBSCRIBE_BROWSE),
        (flag::SUBSCRIBE_DURABLE, SABIR_SUBSCRIBE_DURABLE),
        (flag::SUBSCRIBE_SHARED, SABIR_SUBSCRIBE_SHARED),
        (flag::SUBSCRIBE_AUTO_DELETE, SABIR_SUBSCRIBE_AUTO_DELETE),
        (flag::SUBSCRIBE_LINK_CREDIT, SABIR_SUBSCRIBE_LINK_CREDIT),
        (flag::DELETE_DURABLE, SABIR_DELETE_DURABLE),
        (flag::DELETE_IF_EMPTY, SABIR_DELETE_IF_EMPTY),
        (flag::DELETE_IF_UNUSED, SABIR_DELETE_IF_UNUSED),
        (flag::DECLARE_DURABLE, SABIR_DECLARE_DURABLE),
        (flag::DECLARE_AUTO_DELETE, SABIR_DECLARE_AUTO_DELETE),
        (flag::DECLARE_EXCLUSIVE, SABIR_DECLARE_EXCLUSIVE),
        (flag::DECLARE_PASSIVE, SABIR_DECLARE_PASSIVE),
        (flag::QUERY_LIST, SABIR_QUERY_LIST),
        (flag::QUERY_EXPLAIN, SABIR_QUERY_EXPLAIN),
        (flag::QUERY_PREPARED, SABIR_QUERY_PREPARED),
        (flag::BRANCH_READ_ONLY, SABIR_BRANCH_READ_ONLY),
        (flag::BRANCH_COMMITTED, SABIR_BRANCH_COMMITTED),
        (flag::BRANCH_RESTORED, SABIR_BRANCH_RESTORED),
        (BranchAct::Begin as u64, SABIR_BRANCH_BEGIN),
        (BranchAct::Prepare as u64, SABIR_BRANCH_PREPARE),
        (BranchAct::Commit as u64, SABIR_BRANCH_COMMIT),
        (BranchAct::CommitOnePhase as u64, SABIR_BRANCH_COMMIT_ONE_PHASE),
        (BranchAct::Rollback as u64, SABIR_BRANCH_ROLLBACK),
        (BranchAct::Await as u64, SABIR_BRANCH_AWAIT),
        (TEMPORARY, SABIR_LOG_TEMPORARY),
    ];
    for (model, contract) in pairs {
        assert_eq!(model, contract);
    }
}

#[test]
fn reasons_are_those_of_the_contract_and_every_one_has_a_status() {
    let contract = [
        SABIR_REASON_INVALID,
        SABIR_REASON_UNAUTHENTICATED,
        SABIR_REASON_FORBIDDEN,
        SABIR_REASON_NOT_FOUND,
        SABIR_REASON_CONFLICT,
        SABIR_REASON_LIMIT,
        SABIR_REASON_BAD_MESSAGE,
        SABIR_REASON_BAD_SELECTOR,
        SABIR_REASON_STORE,
        SABIR_REASON_ROLLED_BACK,
        SABIR_REASON_STOPPING,
        SABIR_REASON_UNSUPPORTED,
        SABIR_REASON_FULL,
    ];
    assert_eq!(Reason::ALL.map(|reason| reason as u32), contract);
    for reason in Reason::ALL {
        assert!(events::status_of(reason) < SABIR_PENDING);
        assert_eq!(Reason::from_number(reason as u32), Some(reason));
    }
}

#[test]
fn every_error_code_maps_to_a_status_and_back_and_unknown_ones_are_other() {
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_status(code.status()), code);
    }
    assert_eq!(ErrorCode::from_status(-1000), ErrorCode::Other);
    assert_eq!(ErrorCode::from_status(SABIR_PENDING), ErrorCode::Other);
}
