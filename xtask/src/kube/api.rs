//! What is asked of a cluster's API server by those who prepare it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{Kube, KubeError};

impl Kube {
    /// Asks its API server for `path`.
    ///
    /// # Errors
    /// When it does not answer with success and JSON.
    pub fn get(&self, path: &str) -> Result<Value, KubeError> {
        self.demand("GET", path, None)
    }

    /// Creates `object` under `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn create(&self, path: &str, object: &Value) -> Result<Value, KubeError> {
        self.demand("POST", path, Some(("application/json", object.to_string())))
    }

    /// Creates the object that the YAML `text` is, under `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn create_yaml(&self, path: &str, text: &str) -> Result<Value, KubeError> {
        self.demand("POST", path, Some(("application/yaml", text.to_owned())))
    }

    /// Merges `patch` into what is at `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn patch(&self, path: &str, patch: &Value) -> Result<Value, KubeError> {
        self.demand("PATCH", path, Some(("application/merge-patch+json", patch.to_string())))
    }

    /// Merges each patch into what is at its path, one after the other over one connection.
    ///
    /// # Errors
    /// As [`get`](Self::get), told of the first that was refused; the others are made all the same.
    pub fn patch_all(&self, patches: &[(String, Value)]) -> Result<(), KubeError> {
        if patches.is_empty() {
            return Ok(());
        }
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let request = |(path, patch): &(String, Value)| {
            format!(
                "url = \"{}{path}\"\nrequest = PATCH\noutput = /dev/null\nmax-time = 20\n\
                 cacert = \"{}\"\nwrite-out = \"%{{http_code}}\\n\"\n\
                 header = \"Authorization: Bearer admin-of-{}\"\n\
                 header = \"Content-Type: application/merge-patch+json\"\ndata-binary = \"{}\"\n",
                self.server(),
                self.dir.join("ca.crt").display(),
                self.name,
                quoted(&patch.to_string())
            )
        };
        let requests: Vec<_> = patches.iter().map(request).collect();
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--config", "-"]).stdin(Stdio::piped());
        let mut child =
            curl.stdout(Stdio::piped()).spawn().map_err(KubeError::io("run", "curl"))?;
        if let Some(mut stdin) = child.stdin.take() {
            let text = requests.join("next\n");
            stdin.write_all(text.as_bytes()).map_err(KubeError::io("write to", "curl"))?;
        }
        let output = child.wait_with_output().map_err(KubeError::io("wait for", "curl"))?;
        let answers = String::from_utf8_lossy(&output.stdout);
        let refused = answers.lines().zip(patches).find(|(status, _)| !status.starts_with('2'));
        match refused {
            None if output.status.success() => Ok(()),
            None => Err(KubeError::Program { program: "curl".to_owned(), said: String::new() }),
            Some((status, (path, _))) => Err(KubeError::Refused {
                request: format!("PATCH {path}"),
                status: status.parse().unwrap_or_default(),
                answer: String::new(),
            }),
        }
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn delete(&self, path: &str) -> Result<Value, KubeError> {
        self.demand("DELETE", path, None)
    }

    fn demand(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Value, KubeError> {
        let (status, answer) = self.ask(method, path, body)?;
        let request = || format!("{method} {path}");
        if !(200..300).contains(&status) {
            return Err(KubeError::Refused { request: request(), status, answer });
        }
        serde_json::from_str(&answer).map_err(|_| KubeError::Refused {
            request: request(),
            status,
            answer,
        })
    }

    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<(u16, String), KubeError> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-X", method, "-w", "\n%{http_code}"]);
        curl.arg("--cacert").arg(self.dir.join("ca.crt"));
        curl.args(["-H", &format!("Authorization: Bearer admin-of-{}", self.name)]);
        if let Some((kind, body)) = body {
            curl.args(["-H", &format!("Content-Type: {kind}"), "-H", "Accept: application/json"]);
            curl.args(["--data-binary", &body]);
        }
        let output = curl.arg(format!("{}{path}", self.server())).output();
        let output = output.map_err(KubeError::io("run", "curl"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.rsplit_once('\n') {
            Some((answer, status)) if output.status.success() => {
                Ok((status.parse().unwrap_or_default(), answer.to_owned()))
            }
            _ => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(KubeError::Program { program: "curl".to_owned(), said })
            }
        }
    }
}
