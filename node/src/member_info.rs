//! What the replicated configuration says of a member beside its id: `MemberInfo`, encoded with
//! postcard. The core carries it and never reads it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Where a member is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberInfo {
    pub(crate) address: Option<String>,
    pub(crate) island: String,
}

impl MemberInfo {
    pub(crate) fn encode(&self) -> Bytes {
        postcard::to_stdvec(self).expect("strings are always encodable").into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}
