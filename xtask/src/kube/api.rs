//! What is asked of a cluster's API server by those who prepare it.

use std::process::Command;

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
