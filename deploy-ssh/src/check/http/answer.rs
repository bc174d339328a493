//! What came back from a URL.

/// How much of a body is read.
pub(super) const MOST: usize = 1024 * 1024;
/// What came back from a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// An answer, with the beginning of its body, and where it redirects to.
    Came { status: u16, body: Vec<u8>, location: Option<String> },
    /// None, and why.
    None(String),
}

impl Answer {
    /// The status and the place of a redirect.
    pub(super) fn redirect(&self) -> Option<(u16, &str)> {
        match self {
            Self::Came { status: status @ (301 | 302 | 303 | 307 | 308), location, .. } => {
                location.as_deref().map(|location| (*status, location))
            }
            _ => None,
        }
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
        let location = location(&rest[..end]);
        rest = &rest[end + skip..];
        // 100 Continue and its like come before the answer.
        if !(100..200).contains(&status) {
            let body = rest[..rest.len().min(MOST)].to_vec();
            return Some(Answer::Came { status, body, location });
        }
    }
}

fn location(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    })
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
        Answer::Came { status, body: body.as_bytes().to_vec(), location: None }
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

    #[test]
    fn a_redirect_says_where_to() {
        let answer = parse(b"HTTP/1.1 302 Found\r\nLOCATION:  /b?c=d \r\n\r\n").unwrap();
        assert_eq!(answer.redirect(), Some((302, "/b?c=d")));
        assert_eq!(parse(b"HTTP/1.1 304 Same\nLocation: /b\n\n").unwrap().redirect(), None);
        assert_eq!(parse(b"HTTP/1.1 302 Found\nA: b\n\nLocation: /b").unwrap().redirect(), None);
    }
}
