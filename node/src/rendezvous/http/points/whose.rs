//! Whose a request is, for whoever serves a member's own requests without this: [`Whose`].

use super::{Points, Wanted};
use crate::StateMachine;
use axum::body::Body;
use axum::http::Request;

/// Whose a request is, as far as is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// It is served wherever it comes in.
    Nobodys,
    /// This member's, which has this number.
    Own(u64),
    /// Another member's, or it has to be refused.
    Elsewhere,
}

impl<S: StateMachine> Points<S> {
    /// Whose a request is.
    pub(crate) fn whose(&self, request: &Request<Body>) -> Whose {
        let shared = &*self.0;
        let me = shared.node.number();
        let member = match shared.wanted(request) {
            Ok(Wanted::Anywhere) => return Whose::Nobodys,
            Ok(Wanted::Member(member)) => Some(member),
            Ok(Wanted::Key(key)) => shared.first(&key, &[]),
            Err(_) => None,
        };
        if member == Some(me) { Whose::Own(me) } else { Whose::Elsewhere }
    }
}
