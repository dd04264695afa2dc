//! Sealed sessions in axum: `SessionLayer` opens a request's cookie and hands the handler a
//! `Session`, and sends the cookie anew when the handler has changed it, or when its key retires.

use super::error::SealError;
use super::open::{Opened, Opener};
use super::seal::{Sealer, Sessions};
use crate::StateMachine;
use crate::own::epochs::Subject;
use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// What is kept in a session.
pub trait Kept: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Kept for T {}

/// Gives handlers a [`Session`] of `T`. One layer for each kind of session.
pub struct SessionLayer<S: StateMachine, T> {
    sessions: Sessions<S>,
    kept: PhantomData<fn() -> T>,
}

impl<S: StateMachine, T> SessionLayer<S, T> {
    /// Of these sessions.
    #[must_use]
    pub const fn new(sessions: Sessions<S>) -> Self {
        Self { sessions, kept: PhantomData }
    }
}

impl<S: StateMachine, T> Clone for SessionLayer<S, T> {
    fn clone(&self) -> Self {
        Self::new(self.sessions.clone())
    }
}

impl<I, S: StateMachine, T> Layer<I> for SessionLayer<S, T> {
    type Service = SessionService<I, S, T>;

    fn layer(&self, inner: I) -> Self::Service {
        let (sealer, opener) = (self.sessions.sealer(), self.sessions.opener());
        SessionService { inner, sealer, opener, kept: PhantomData }
    }
}

/// The service that a [`SessionLayer`] makes.
pub struct SessionService<I, S: StateMachine, T> {
    inner: I,
    sealer: Sealer,
    opener: Opener<S>,
    kept: PhantomData<fn() -> T>,
}

impl<I: Clone, S: StateMachine, T> Clone for SessionService<I, S, T> {
    fn clone(&self) -> Self {
        let (sealer, opener) = (self.sealer.clone(), self.opener.clone());
        Self { inner: self.inner.clone(), sealer, opener, kept: PhantomData }
    }
}

type Answer<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<I, S, T, B, R> Service<Request<B>> for SessionService<I, S, T>
where
    I: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    I::Future: Send,
    S: StateMachine,
    T: Kept,
    B: Send + 'static,
{
    type Response = Response<R>;
    type Error = I::Error;
    type Future = Answer<Response<R>, I::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        let (sealer, opener) = (self.sealer.clone(), self.opener.clone());
        Box::pin(async move {
            let cookie = &sealer.0.cookie;
            let cookies = request.headers().get_all(COOKIE).iter();
            let texts = cookies.filter_map(|header| header.to_str().ok());
            let token = texts.filter_map(|text| cookie.find(text)).next().map(str::to_owned);
            let opened = match token {
                Some(token) => opener.open::<T>(&token).await.ok(),
                None => None,
            };
            let session = Session::new(sealer, opened);
            request.extensions_mut().insert(session.clone());
            let mut response = inner.call(request).await?;
            if let Some(header) = session.header() {
                response.headers_mut().append(SET_COOKIE, header);
            }
            Ok(response)
        })
    }
}

/// A client's session during one request: an extractor, behind a [`SessionLayer`] of the same `T`.
pub struct Session<T> {
    sealer: Sealer,
    inner: Arc<Mutex<Inner<T>>>,
}

impl<T> Clone for Session<T> {
    fn clone(&self) -> Self {
        Self { sealer: self.sealer.clone(), inner: Arc::clone(&self.inner) }
    }
}

struct Inner<T> {
    state: Option<T>,
    subject: Option<Subject>,
    change: Change,
}

/// What the client is to be told.
enum Change {
    Nothing,
    /// The same, sealed anew.
    Reseal,
    Set(String),
    Clear,
}

impl<T: Kept> Session<T> {
    fn new(sealer: Sealer, opened: Option<Opened<T>>) -> Self {
        let inner = match opened {
            None => Inner { state: None, subject: None, change: Change::Nothing },
            Some(opened) => {
                let resealed = opened.is_to_be_resealed();
                let change = if resealed { Change::Reseal } else { Change::Nothing };
                Inner { state: Some(opened.state), subject: opened.subject, change }
            }
        };
        Self { sealer, inner: Arc::new(Mutex::new(inner)) }
    }

    /// What is in it; `None` if the client has none that is valid.
    #[must_use]
    pub fn state(&self) -> Option<T> {
        self.lock().state.clone()
    }

    /// The client's session is this from now on; it stays that of its subject.
    ///
    /// # Errors
    /// Says why it can't be sealed; then it stays as it was.
    pub fn set(&self, state: T) -> Result<(), SealError> {
        let subject = self.lock().subject;
        self.set_with(subject, state)
    }

    /// The same, and it is this subject's: after a login.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn set_for(&self, subject: &[u8], state: T) -> Result<(), SealError> {
        self.set_with(Some(self.sealer.0.subject(subject)), state)
    }

    fn set_with(&self, subject: Option<Subject>, state: T) -> Result<(), SealError> {
        let token = self.sealer.seal_with(subject, &state)?;
        *self.lock() = Inner { state: Some(state), subject, change: Change::Set(token) };
        Ok(())
    }

    /// The client is told to forget it. That does not void what it has: see
    /// [`Node::revoke_sessions`](crate::Node::revoke_sessions).
    pub fn clear(&self) {
        *self.lock() = Inner { state: None, subject: None, change: Change::Clear };
    }

    fn header(&self) -> Option<HeaderValue> {
        let inner = self.lock();
        let cookie = &self.sealer.0.cookie;
        let text = match &inner.change {
            Change::Nothing => return None,
            Change::Set(token) => cookie.set(token),
            Change::Clear => cookie.clear(),
            // If it can't be sealed now, what the client has is still good.
            Change::Reseal => {
                let state = inner.state.as_ref()?;
                cookie.set(&self.sealer.seal_with(inner.subject, state).ok()?)
            }
        };
        HeaderValue::try_from(text).ok()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing that holds the lock can panic, but for a `Clone` of the caller's.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Kept, A: Sync> FromRequestParts<A> for Session<T> {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &A) -> Result<Self, Self::Rejection> {
        let missing = "this route has no SessionLayer for this kind of session";
        let session = parts.extensions.get::<Self>().cloned();
        session.ok_or((StatusCode::INTERNAL_SERVER_ERROR, missing))
    }
}
