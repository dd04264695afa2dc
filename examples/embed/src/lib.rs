//! A ledger that is the same on all members: [`Ledger`], a state machine as somebody else would
//! write it, with commands that can be refused and a snapshot format of its own ([`Statement`]).
//! `tests/three_members.rs` runs three members of it.
#![forbid(unsafe_code)]

mod statement;

pub use statement::Statement;

use holm::StateMachine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Balances by account. Money moves and is never made, but for deposits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    // Shared with the snapshots that are being written, and copied at the first change after one.
    accounts: Arc<BTreeMap<String, u64>>,
}

/// What may be proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Puts money into an account, which is opened by that if it is new.
    Deposit {
        /// Whose.
        account: String,
        /// How much, in cents.
        cents: u64,
    },
    /// Moves money from one account to another.
    Transfer {
        /// Who pays.
        from: String,
        /// Who is paid.
        to: String,
        /// How much, in cents.
        cents: u64,
    },
}

/// What is answered. A refusal changes nothing, and is a reply like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done: so much is left in the account that paid, or was paid into.
    Done {
        /// In cents.
        balance: u64,
    },
    /// Refused: there is no such account.
    NoSuchAccount,
    /// Refused: so much is there, and that is not enough.
    NotEnough {
        /// In cents.
        balance: u64,
    },
    /// Refused: nobody can own so much.
    TooMuch,
}

impl Ledger {
    /// What an account holds, in cents, if there is such an account.
    #[must_use]
    pub fn balance(&self, account: &str) -> Option<u64> {
        self.accounts.get(account).copied()
    }

    /// What all accounts hold together, in cents.
    #[must_use]
    pub fn total(&self) -> u128 {
        self.accounts.values().copied().map(u128::from).sum()
    }

    fn deposit(&mut self, account: String, cents: u64) -> Reply {
        let balance = self.balance(&account).unwrap_or(0);
        let Some(balance) = balance.checked_add(cents) else { return Reply::TooMuch };
        Arc::make_mut(&mut self.accounts).insert(account, balance);
        Reply::Done { balance }
    }

    fn transfer(&mut self, from: &str, to: String, cents: u64) -> Reply {
        let (Some(payer), Some(payee)) = (self.balance(from), self.balance(&to)) else {
            return Reply::NoSuchAccount;
        };
        let Some(left) = payer.checked_sub(cents) else {
            return Reply::NotEnough { balance: payer };
        };
        if from == to {
            return Reply::Done { balance: payer };
        }
        let Some(more) = payee.checked_add(cents) else { return Reply::TooMuch };
        let accounts = Arc::make_mut(&mut self.accounts);
        accounts.insert(from.to_owned(), left);
        accounts.insert(to, more);
        Reply::Done { balance: left }
    }
}

impl StateMachine for Ledger {
    type Command = Command;
    type Reply = Reply;
    type Snapshot = Statement;

    fn apply(&mut self, command: Command) -> Reply {
        match command {
            Command::Deposit { account, cents } => self.deposit(account, cents),
            Command::Transfer { from, to, cents } => self.transfer(&from, to, cents),
        }
    }

    fn snapshot(&self) -> Statement {
        Statement::of(&self.accounts)
    }

    fn restore(statement: Statement) -> Self {
        Self { accounts: statement.into_accounts() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deposit(account: &str, cents: u64) -> Command {
        Command::Deposit { account: account.into(), cents }
    }

    fn transfer(from: &str, to: &str, cents: u64) -> Command {
        Command::Transfer { from: from.into(), to: to.into(), cents }
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.apply(deposit("ann", 50)), Reply::Done { balance: 50 });
        assert_eq!(ledger.apply(deposit("bob", u64::MAX)), Reply::Done { balance: u64::MAX });
        let before = ledger.clone();
        for (refused, expected) in [
            (transfer("ann", "bob", 51), Reply::NotEnough { balance: 50 }),
            (transfer("ann", "bob", 50), Reply::TooMuch),
            (transfer("ann", "eve", 1), Reply::NoSuchAccount),
            (deposit("bob", 1), Reply::TooMuch),
        ] {
            assert_eq!(ledger.apply(refused.clone()), expected, "{refused:?}");
            assert_eq!(ledger, before, "{refused:?}");
        }
        assert_eq!(ledger.apply(transfer("ann", "ann", 50)), Reply::Done { balance: 50 });
        assert_eq!(ledger, before);
    }

    #[test]
    fn a_statement_is_not_changed_by_what_comes_after_it() {
        let mut ledger = Ledger::default();
        ledger.apply(deposit("ann", 50));
        let statement = ledger.snapshot();
        ledger.apply(deposit("ann", 1));
        assert_eq!(Ledger::restore(statement).balance("ann"), Some(50));
    }
}
