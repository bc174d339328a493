//! One HTTP question over a stream that is open.

use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Request,
    body::{Body, Bytes, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

use super::{
    Authorities,
    answer::{Answer, MOST},
    request::Question,
};

/// Enough of a body to be shown to a person.
const GLIMPSE: usize = 1024;

/// Asks over `stream`; reads the body as far as it is of use.
pub(super) async fn ask<S>(stream: S, question: &Question) -> Answer
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    asked(stream, question)
        .await
        .unwrap_or_else(|error| Answer::None(format!("no answer in HTTP: {}", told(&*error))))
}

/// The same by TLS: the server must prove by its certificate to be the host that was asked for.
pub(super) async fn ask_by_tls<S>(stream: S, question: &Question, by: &Authorities) -> Answer
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let host = question.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let Ok(name) = ServerName::try_from(host) else {
        return Answer::None("its name cannot stand in a certificate".to_owned());
    };
    match TlsConnector::from(Arc::clone(&by.tls)).connect(name, stream).await {
        Ok(stream) => ask(stream, question).await,
        Err(error) => Answer::None(format!("TLS failed: {}", told(&error))),
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn asked<S>(stream: S, question: &Question) -> Result<Answer, Failed>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Dropped with this call, and the stream with it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let uri = &question.uri;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(question.http_method())
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("deploy/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    request.headers_mut().extend(question.headers());
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let location = location(response.headers());
    let most = if question.whole_body { MOST } else { GLIMPSE };
    Ok(Answer::Came { status, body: beginning(response.into_body(), most).await?, location })
}

/// Where an answer redirects to.
pub(super) fn location(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(LOCATION)?.as_bytes();
    Some(String::from_utf8_lossy(value).into_owned())
}

async fn beginning(mut body: Incoming, most: usize) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    while bytes.len() < most && !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data[..data.len().min(most - bytes.len())]);
        }
    }
    Ok(bytes)
}

/// An error with its causes, each told once.
pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
