//! What came back from a URL.

/// How much of a body is read.
pub(super) const MOST: usize = 1024 * 1024;
/// How much of a body is shown.
const SHOWN: usize = 200;

/// What came back from a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// An answer, with the beginning of its body.
    Came { status: u16, body: Vec<u8> },
    /// None, and why.
    None(String),
}

impl Answer {
    /// What is wrong with it, if anything.
    pub(super) fn fault(&self, status: Option<u16>, contains: Option<&str>) -> Option<String> {
        let (came, body) = match self {
            Self::Came { status, body } => (*status, body),
            Self::None(why) => return Some(why.clone()),
        };
        let right = status.map_or((200..300).contains(&came), |status| status == came);
        if !right {
            let expected = status.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
            return Some(format!("status {came}, not {expected}{}", shown(body)));
        }
        let wanted = contains?;
        let found = wanted.is_empty()
            || body.windows(wanted.len()).any(|window| window == wanted.as_bytes());
        (!found).then(|| format!("status {came}, but no {wanted:?} in the body{}", shown(body)))
    }
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    match text.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// Reads an answer with its head, as curl and wget write it.
pub(super) fn parse(bytes: &[u8]) -> Option<Answer> {
    let mut rest = bytes;
    loop {
        let line = rest.split(|byte| *byte == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/")?;
        let status = line.split(' ').nth(1)?.trim().parse().ok()?;
        let (end, skip) = head_end(rest)?;
        rest = &rest[end + skip..];
        // 100 Continue and its like come before the answer.
        if !(100..200).contains(&status) {
            let body = rest[..rest.len().min(MOST)].to_vec();
            return Some(Answer::Came { status, body });
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let of = |mark: &[u8]| {
        bytes.windows(mark.len()).position(|window| window == mark).map(|at| (at, mark.len()))
    };
    let ends = [of(b"\r\n\r\n"), of(b"\n\n")];
    ends.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(status: u16, body: &str) -> Answer {
        Answer::Came { status, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn the_right_answer_has_no_fault() {
        assert_eq!(came(204, "").fault(None, None), None);
        assert_eq!(came(200, "v2 is up").fault(Some(200), Some("v2")), None);
        assert_eq!(came(404, "").fault(Some(404), None), None);
    }

    #[test]
    fn a_wrong_answer_is_told_with_its_body() {
        let fault = came(503, "warming up\n").fault(None, None);
        assert_eq!(fault.as_deref(), Some("status 503, not 2xx: warming up"));
        let fault = came(200, "v1").fault(Some(200), Some("v2"));
        assert_eq!(fault.as_deref(), Some("status 200, but no \"v2\" in the body: v1"));
        assert!(came(301, "").fault(None, None).is_some());
    }

    #[test]
    fn what_curl_writes_is_read() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n\nmore";
        assert_eq!(parse(bytes), Some(came(200, "body\n\nmore")));
        assert_eq!(parse(b"HTTP/2 404\nA: b\n\n"), Some(came(404, "")));
        for bad in ["", "curl: (7)", "HTTP/1.1", "HTTP/1.1 x\n\n", "HTTP/1.1 200 OK\n"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
