//! A sealed session as a cookie: its name, its attributes, and where it is among a request's.

use super::options::SessionOptions;

/// How a session's cookie is written.
#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    /// With the prefix by which browsers hold the attributes against whoever sets it.
    pub(crate) name: String,
    attributes: String,
    life_s: u64,
}

impl Cookie {
    pub(crate) fn new(options: &SessionOptions) -> Self {
        let (prefix, domain) = match &options.domain {
            None => ("__Host-", String::new()),
            Some(domain) => ("__Secure-", format!("; Domain={domain}")),
        };
        let attributes = format!("; Path=/{domain}; HttpOnly; Secure; SameSite=Lax");
        let (name, life_s) = (format!("{prefix}{}", options.name), options.life.as_secs());
        Self { name, attributes, life_s }
    }

    /// What `Set-Cookie` says for this token.
    pub(crate) fn set(&self, token: &str) -> String {
        format!("{}={token}{}; Max-Age={}", self.name, self.attributes, self.life_s)
    }

    /// What `Set-Cookie` says to have it forgotten.
    #[cfg(feature = "axum")]
    pub(crate) fn clear(&self) -> String {
        format!("{}={}; Max-Age=0", self.name, self.attributes)
    }

    /// How many bytes that is around a token.
    pub(crate) fn overhead(&self) -> usize {
        self.set("").len()
    }

    /// The token among a request's cookies. Where there are several of the name, the first.
    #[cfg(any(test, feature = "axum"))]
    pub(crate) fn find<'a>(&self, header: &'a str) -> Option<&'a str> {
        header.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name.trim() == self.name).then(|| value.trim())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_held_to_its_host_or_to_its_domain() {
        let mut options = SessionOptions::new("app");
        assert_eq!(
            Cookie::new(&options).set("TOKEN"),
            "__Host-app=TOKEN; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=43200"
        );
        options.domain = Some("example.org".into());
        let cookie = Cookie::new(&options);
        let told = "__Secure-app=TOKEN; Path=/; Domain=example.org; HttpOnly; Secure; \
                    SameSite=Lax; Max-Age=43200";
        assert_eq!(cookie.set("TOKEN"), told);
        assert_eq!(cookie.overhead(), told.len() - "TOKEN".len());
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let cookie = Cookie::new(&SessionOptions::new("app"));
        assert_eq!(cookie.find("a=1; __Host-app=x=y;__Host-app=z"), Some("x=y"));
        for other in ["", "app=1", "__Host-app", "x__Host-app=1", "__host-app=1"] {
            assert_eq!(cookie.find(other), None, "{other}");
        }
    }
}
