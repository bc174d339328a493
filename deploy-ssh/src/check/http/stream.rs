//! One HTTP question over a stream that is open.

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Uri,
    body::{Body, Bytes, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};

use super::answer::{Answer, MOST};

/// Enough of a body to be shown to a person.
const GLIMPSE: usize = 1024;

/// Asks for `uri` over `stream`; reads the body as far as it is of use.
pub(super) async fn ask<S>(stream: S, uri: &Uri, whole_body: bool) -> Answer
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    asked(stream, uri, whole_body)
        .await
        .unwrap_or_else(|error| Answer::None(format!("no answer in HTTP: {}", told(&*error))))
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn asked<S>(stream: S, uri: &Uri, whole_body: bool) -> Result<Answer, Failed>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Dropped with this call, and the stream with it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("deploy/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let most = if whole_body { MOST } else { GLIMPSE };
    Ok(Answer::Came { status, body: beginning(response.into_body(), most).await? })
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
