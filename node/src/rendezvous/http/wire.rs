//! A request on its way to another member, and the answer on its way back, as bytes: `Handed` and
//! `Returned`, a byte of version and postcard. What concerns one connection alone (RFC 9110,
//! section 7.6.1) stays behind.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// A request that another member hands over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handed {
    /// The key that it carries; none if its host names the member.
    pub(super) key: Option<Bytes>,
    method: String,
    /// Path and query.
    target: String,
    headers: Headers,
    body: Bytes,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Returned {
    /// It was served.
    Served { status: u16, headers: Headers, body: Bytes },
    /// Another member holds the key, for so many milliseconds unless that is renewed.
    Taken { member: u64, millis: u64 },
}

/// In their order; a name may come several times.
type Headers = Vec<(String, Bytes)>;

/// These bytes are nothing that a member of this version hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Handed {
    pub(super) fn new(
        key: Option<Bytes>,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        body: Bytes,
    ) -> Self {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let (method, target) = (method.as_str().to_owned(), target.to_owned());
        Self { key, method, target, headers: carried(headers), body }
    }

    pub(super) fn request(self) -> Result<Request<Body>, Malformed> {
        let uri: Uri = self.target.parse().map_err(|_| Malformed)?;
        let origin = uri.scheme().is_none() && uri.authority().is_none();
        let method = Method::from_bytes(self.method.as_bytes()).map_err(|_| Malformed)?;
        let mut request = Request::new(Body::from(self.body));
        *request.headers_mut() = restored(self.headers)?;
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        if origin { Ok(request) } else { Err(Malformed) }
    }
}

impl Returned {
    pub(super) fn served(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        Self::Served { status: status.as_u16(), headers: carried(headers), body }
    }
}

/// The response that another member has made.
pub(super) fn response(
    status: u16,
    headers: Headers,
    body: Bytes,
) -> Result<Response<Body>, Malformed> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| Malformed)?;
    *response.headers_mut() = restored(headers)?;
    Ok(response)
}

pub(super) fn encode(what: &impl Serialize) -> Bytes {
    postcard::to_extend(what, vec![VERSION]).expect("names and bytes are always encodable").into()
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((what, [])) => Ok(what),
            _ => Err(Malformed),
        },
        _ => Err(Malformed),
    }
}

/// The headers that go on beyond this connection.
fn carried(headers: &HeaderMap) -> Headers {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let stays = |name: &HeaderName| {
        let hop = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, CONTENT_LENGTH];
        let text = name.as_str();
        hop.contains(name)
            || named.contains(name)
            || text.starts_with("proxy-")
            || text == "keep-alive"
    };
    let goes = headers.iter().filter(|(name, _)| !stays(name));
    let owned = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes()))
    };
    goes.map(owned).collect()
}

fn restored(headers: Headers) -> Result<HeaderMap, Malformed> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|_| Malformed)?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Malformed)?;
        map.try_append(name, value).map_err(|_| Malformed)?;
    }
    Ok(map)
}

/// See [`fuzz_points`](super::fuzz_points).
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(data: &[u8]) -> bool {
    let mut read = false;
    if let Ok(handed) = decode::<Handed>(data) {
        assert_eq!(decode::<Handed>(&encode(&handed)), Ok(handed.clone()));
        let (key, body) = (handed.key.clone(), handed.body.clone());
        if let Ok(request) = handed.request() {
            let (parts, _) = request.into_parts();
            let again = Handed::new(key, (&parts.method, &parts.uri, &parts.headers), body);
            assert!(again.request().is_ok(), "what was a request is one again");
            read = true;
        }
    }
    if let Ok(returned) = decode::<Returned>(data) {
        assert_eq!(decode::<Returned>(&encode(&returned)), Ok(returned.clone()));
        read |= match returned {
            Returned::Served { status, headers, body } => response(status, headers, body).is_ok(),
            Returned::Taken { .. } => true,
        };
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(headers: &[(&str, &str)]) -> Handed {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let key = Some(Bytes::from_static(b"k"));
        let uri: Uri = "http://app-2.example/a?b=c".parse().unwrap();
        Handed::new(key, (&Method::POST, &uri, &map), Bytes::from_static(b"body"))
    }

    #[test]
    fn a_request_survives_its_bytes_but_for_what_is_its_connections_own() {
        let handed = handed(&[
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("connection", "close, x-own"),
            ("x-own", "1"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "4"),
            ("proxy-authorization", "secret"),
            ("host", "app-2.example"),
        ]);
        let read: Handed = decode(&encode(&handed)).unwrap();
        assert_eq!(read, handed);
        let request = read.request().unwrap();
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "/a?b=c")
        );
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let expected = [("cookie", &b"a=1"[..]), ("cookie", b"b=2"), ("host", b"app-2.example")];
        assert_eq!(headers, expected);
    }

    #[test]
    fn the_bytes_of_a_request_and_an_answer_stay_as_they_are() {
        let golden = b"\x01\x01\x01k\x04POST\x06/a?b=c\x01\x01x\x01y\x04body";
        assert_eq!(&encode(&handed(&[("x", "y")]))[..], golden);
        let taken = Returned::Taken { member: 3, millis: 300 };
        assert_eq!(&encode(&taken)[..], b"\x01\x01\x03\xac\x02");
        let served = Returned::served(StatusCode::OK, &HeaderMap::new(), Bytes::from_static(b"a"));
        assert_eq!(&encode(&served)[..], b"\x01\x00\xc8\x01\x00\x01a");
    }

    #[test]
    fn what_is_cut_short_or_another_version_is_refused() {
        let bytes = encode(&handed(&[("x", "y")]));
        for length in 0..bytes.len() {
            assert_eq!(decode::<Handed>(&bytes[..length]), Err(Malformed), "{length} bytes");
        }
        let mut other = bytes.to_vec();
        other[0] = 2;
        assert_eq!(decode::<Handed>(&other), Err(Malformed));
        for (name, value) in [("a b", "c"), ("a", "b\nc")] {
            let headers = vec![(name.to_owned(), Bytes::from_static(value.as_bytes()))];
            assert!(response(200, headers, Bytes::new()).is_err(), "{name}: {value}");
        }
        let elsewhere = Handed { target: "http://other/".into(), ..handed(&[]) };
        assert!(elsewhere.request().is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut data: Vec<u8>, version: bool) {
            if version {
                data.insert(0, VERSION);
            }
            fuzz(&data);
        }
    }
}
