//! Who seals: Holm, and three others, each with a key at hand.

use cookie::{Cookie, CookieJar, Key};
use holm::Node;
use holm::session::SessionOptions;
use holm::store::Store;
use pasetors::Local;
use pasetors::keys::{Generate, SymmetricKey};
use pasetors::token::UntrustedToken;
use pasetors::version4::{LocalToken, V4};

/// Seals a text, and opens it and says how long it is.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) seal: Box<dyn Fn(&str) -> String>,
    pub(crate) open: Box<dyn Fn(&str) -> usize>,
}

pub(crate) async fn subjects(node: &Node<Store>) -> Vec<Subject> {
    let sessions = node.sessions(SessionOptions::new("bench")).await.expect("a key");
    let (sealer, opener) = (sessions.sealer(), sessions.opener());
    let holm = Subject {
        name: "holm",
        seal: Box::new(move |text| sealer.seal(&text).expect("it fits")),
        open: Box::new(move |token| {
            opener.open_here::<String>(token).expect("it is good").state.len()
        }),
    };
    vec![holm, paseto(), private_jar(), fernet()]
}

fn paseto() -> Subject {
    let key = SymmetricKey::<V4>::generate().expect("entropy");
    let other = key.clone();
    Subject {
        name: "pasetors v4.local",
        seal: Box::new(move |text| {
            LocalToken::encrypt(&key, text.as_bytes(), None, None).expect("it can be sealed")
        }),
        open: Box::new(move |token| {
            let token = UntrustedToken::<Local, V4>::try_from(token).expect("it is one");
            let token = LocalToken::decrypt(&other, &token, None, None).expect("it is good");
            token.payload().len()
        }),
    }
}

fn private_jar() -> Subject {
    let key = Key::generate();
    let other = key.clone();
    Subject {
        name: "cookie PrivateJar",
        seal: Box::new(move |text| {
            let mut jar = CookieJar::new();
            jar.private_mut(&key).add(Cookie::new("bench", text.to_owned()));
            jar.get("bench").expect("it was added").value().to_owned()
        }),
        open: Box::new(move |token| {
            let jar = CookieJar::new();
            let cookie = Cookie::new("bench", token.to_owned());
            jar.private(&other).decrypt(cookie).expect("it is good").value().len()
        }),
    }
}

fn fernet() -> Subject {
    let key = fernet::Fernet::new(&fernet::Fernet::generate_key()).expect("a key");
    let other = key.clone();
    Subject {
        name: "fernet",
        seal: Box::new(move |text| key.encrypt(text.as_bytes())),
        open: Box::new(move |token| other.decrypt(token).expect("it is good").len()),
    }
}
