//! Secrets of a target: read there when they are needed, held in memory, shown to nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use hmac::{Hmac, Mac};
use minijinja::{
    Value,
    value::{Object, ObjectRepr},
};
use sha2::Sha256;

/// The most that is read of a file of secrets.
pub(crate) const LARGEST: usize = 64 * 1024;

/// How many characters a secret must have to be told apart from other text in an output.
const TELLING: usize = 6;
/// Filters that write a secret in another way.
const FILTERS: [&str; 5] =
    ["value|urlencode", "value|tojson", "value|escape", "value|upper", "value|lower"];

/// How a template names a secret: `secret.db.password` is `db`, `password`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(Vec<String>);

impl Name {
    fn below(&self, key: &str) -> Self {
        Self(self.0.iter().map(String::as_str).chain([key]).map(str::to_owned).collect())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// What a file of secrets holds. Not to be shown: neither `Debug` nor an error tells a value.
pub(crate) struct Secrets(Arc<Entry>);

enum Entry {
    Text(String),
    Table(BTreeMap<String, Arc<Entry>>),
    /// Something that cannot be written, such as a list.
    Other(&'static str),
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Reads the content of the file at `path`. The error says what is wrong, and on which line, but
    /// nothing of what stands there.
    pub(crate) fn parse(path: &str, content: &[u8]) -> Result<Self, String> {
        if content.len() > LARGEST {
            return Err(format!("{path} is larger than {} kB", LARGEST / 1024));
        }
        let Ok(text) = std::str::from_utf8(content) else {
            return Err(format!("{path} is not UTF-8"));
        };
        let table = if path.ends_with(".json") {
            let wrong = |error: serde_json::Error| {
                format!("{path}:{} is not JSON, or holds no table", error.line())
            };
            serde_json::from_str::<super::Variables>(text).map_err(wrong)?
        } else {
            let wrong = |error: toml::de::Error| {
                let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(""));
                format!("{path}:{} is not TOML", before.matches('\n').count() + 1)
            };
            let table: toml::Table = toml::from_str(text).map_err(wrong)?;
            table.into_iter().map(|(key, value)| (key, super::plain(value))).collect()
        };
        Ok(Self(Arc::new(Entry::of_table(table))))
    }

    /// What of `names` cannot be written, each with why.
    pub(crate) fn lacks<'a>(
        &self,
        names: impl IntoIterator<Item = &'a Name>,
    ) -> Vec<(&'a Name, &'static str)> {
        let lacking = |name: &'a Name| match self.find(name) {
            Some(Entry::Text(_)) => None,
            Some(Entry::Table(_)) => Some((name, "is a table")),
            Some(Entry::Other(what)) => Some((name, *what)),
            None => Some((name, "is missing")),
        };
        names.into_iter().filter_map(lacking).collect()
    }

    /// What templates get as `secret`.
    pub(super) fn value(&self) -> Value {
        Value::from_object(Known(Arc::clone(&self.0)))
    }

    /// The same for the same values of `names` only; says nothing of them to whoever lacks `salt`.
    pub(crate) fn fingerprint(&self, names: &BTreeSet<Name>, salt: &str) -> String {
        let mut mac = mac(salt);
        for name in names {
            let text = match self.find(name) {
                Some(Entry::Text(text)) => text.as_str(),
                _ => "",
            };
            for part in name.0.iter().map(String::as_str).chain(["", text]) {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part.as_bytes());
            }
        }
        hex(&mac.finalize().into_bytes())
    }

    /// What is not to be shown: each value as it is and as filters write it, with what stands in
    /// its place. Values that are too short to be told apart from other text are left out.
    pub(crate) fn hidden(&self) -> Vec<(String, String)> {
        let mut hidden = Vec::new();
        self.0.hidden(&Name::default(), &mut hidden);
        hidden
    }

    fn find(&self, name: &Name) -> Option<&Entry> {
        name.0.iter().try_fold(&*self.0, |entry, key| match entry {
            Entry::Table(table) => table.get(key).map(|entry| &**entry),
            _ => None,
        })
    }
}

fn mac(salt: &str) -> Hmac<Sha256> {
    match Hmac::new_from_slice(salt.as_bytes()) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

/// A salt, and what it makes of the secrets that a release was rendered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// How often the secrets had changed on the target.
    pub generation: u32,
    pub salt: String,
    pub mac: String,
}

impl Fingerprint {
    /// Whether `secrets` still has what it was made of.
    pub(crate) fn is_of(&self, secrets: &Secrets, names: &BTreeSet<Name>) -> bool {
        secrets.fingerprint(names, &self.salt) == self.mac
    }
}

/// 128 bits that nobody can guess, in hexadecimal.
pub(super) fn salt() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
    Ok(hex(&bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Entry {
    fn of_table(table: super::Variables) -> Self {
        let entry = |(key, value)| (key, Arc::new(Self::of(value)));
        Self::Table(table.into_iter().map(entry).collect())
    }

    fn of(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::String(text) => Self::Text(text),
            Json::Number(number) => Self::Text(number.to_string()),
            Json::Bool(yes) => Self::Text(yes.to_string()),
            Json::Object(table) => Self::of_table(table),
            Json::Array(_) => Self::Other("is a list: only text can be written"),
            Json::Null => Self::Other("is null"),
        }
    }
}

impl Entry {
    fn hidden(&self, name: &Name, hidden: &mut Vec<(String, String)>) {
        match self {
            Self::Text(text) => {
                let shown = format!("__secret.{name}__");
                hidden.extend(forms(text).into_iter().map(|form| (form, shown.clone())));
            }
            Self::Table(table) => {
                table.iter().for_each(|(key, entry)| entry.hidden(&name.below(key), hidden));
            }
            Self::Other(_) => {}
        }
    }
}

/// How a secret may be written: as it is, line by line, and as the filters of templates write it.
fn forms(text: &str) -> BTreeSet<String> {
    let engine = minijinja::Environment::new();
    let filtered = FILTERS.iter().filter_map(|filter| {
        let written = engine
            .compile_expression(filter)
            .and_then(|filter| filter.eval(minijinja::context! { value => text }));
        // In JSON, what stands between the quotes.
        Some(written.ok()?.to_string().trim_matches('"').to_owned())
    });
    // An output may have something before each line.
    let lines = text.lines().map(|line| line.trim().to_owned());
    let all = filtered.chain(lines).chain([text.to_owned(), text.trim().to_owned()]);
    all.filter(|form| form.chars().count() >= TELLING).collect()
}

/// The secrets of a target, as a template sees them: they can be written, not asked.
struct Known(Arc<Entry>);

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secret")
    }
}

impl Object for Known {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let Entry::Table(table) = &*self.0 else { return None };
        Some(Value::from_object(Self(Arc::clone(table.get(key.as_str()?)?))))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Entry::Text(text) => f.write_str(text),
            // Found before anything is rendered: see `lacks`. An error here would be a panic there.
            Entry::Table(_) | Entry::Other(_) => f.write_str("(no text)"),
        }
    }
}

/// What templates did with secrets, while these were only names.
#[derive(Debug, Default)]
pub(super) struct Uses {
    named: BTreeSet<Name>,
    written: BTreeSet<Name>,
    asked: BTreeSet<Name>,
}

impl Uses {
    /// The secrets that were written.
    ///
    /// # Errors
    /// When one was asked whether it is there or what it is, which here nobody can know.
    pub(super) fn written(self) -> Result<BTreeSet<Name>, String> {
        let wrong = |name: &Name| {
            let name = if name.0.is_empty() { "secret".into() } else { format!("secret.{name}") };
            format!(
                "{name} is asked or compared, or named and not written: what is rendered may not \
                 depend on a secret but by its text"
            )
        };
        if self.written.contains(&Name::default()) {
            return Err("`secret` is a table: write one of its keys".to_owned());
        }
        if let Some(name) = self.asked.first() {
            return Err(wrong(name));
        }
        let is_table = |name: &Name| {
            let below = |other: &Name| other.0.len() > name.0.len() && other.0.starts_with(&name.0);
            self.named.iter().any(below)
        };
        let lost = |name: &&Name| !self.written.contains(name) && !is_table(name);
        match self.named.iter().find(lost) {
            Some(name) => Err(wrong(name)),
            None => Ok(self.written),
        }
    }
}

/// A secret that is only a name yet, and is written as that.
#[derive(Debug)]
pub(super) struct Nameless {
    name: Name,
    uses: Arc<Mutex<Uses>>,
}

impl Nameless {
    /// What templates get as `secret` before there is any. What they do with it is noted in `uses`.
    pub(super) fn value(uses: &Arc<Mutex<Uses>>) -> Value {
        Value::from_object(Self { name: Name::default(), uses: Arc::clone(uses) })
    }

    fn note(&self, note: impl FnOnce(&mut Uses)) {
        note(&mut self.uses.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Object for Nameless {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = self.name.below(key.as_str()?);
        self.note(|uses| {
            uses.named.insert(name.clone());
        });
        Some(Value::from_object(Self { name, uses: Arc::clone(&self.uses) }))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.note(|uses| {
            uses.asked.insert(self.name.clone());
        });
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note(|uses| {
            uses.written.insert(self.name.clone());
        });
        write!(f, "__secret.{}__", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(dotted: &str) -> Name {
        dotted.split('.').fold(Name::default(), |name, key| name.below(key))
    }

    const TOML: &str =
        "token = \"hunter2\"\nport = 5432\nday = 2015-06-10\nlist = [1]\n[db]\npassword = \"pw\"\n";

    #[test]
    fn a_file_of_secrets_is_read_and_never_told() {
        let secrets = Secrets::parse("/etc/s.toml", TOML.as_bytes()).unwrap();
        let names: Vec<Name> =
            ["token", "port", "day", "db.password", "db", "list", "no", "token.x"].map(name).into();
        let lacks: Vec<String> =
            secrets.lacks(&names).iter().map(|(name, why)| format!("{name} {why}")).collect();
        let expected = [
            "db is a table",
            "list is a list: only text can be written",
            "no is missing",
            "token.x is missing",
        ];
        assert_eq!(lacks, expected);
        assert!(!format!("{secrets:?} {:?}", secrets.value()).contains("hunter2"));
        let json = br#"{"token":"hunter2","db":{"password":"pw"}}"#;
        let json = Secrets::parse("/etc/s.json", json).unwrap();
        let used = BTreeSet::from([name("token"), name("db.password")]);
        assert_eq!(json.fingerprint(&used, "s"), secrets.fingerprint(&used, "s"));
    }

    #[test]
    fn what_is_hidden_is_each_value_as_it_may_be_written() {
        let toml = "pin = 12345\nk = 'a b/\"&c'\nkey = \"first line\\n  second line\\n\"\n[db]\n\
                    password = \"Pass word\"\n";
        let hidden = Secrets::parse("/etc/s.toml", toml.as_bytes()).unwrap().hidden();
        let of = |name: &str| -> Vec<&str> {
            let shown = format!("__secret.{name}__");
            hidden.iter().filter(|(_, as_)| *as_ == shown).map(|(text, _)| text.as_str()).collect()
        };
        assert_eq!(of("pin"), Vec::<&str>::new(), "too short");
        for form in ["a b/\"&c", "a%20b/%22%26c", r#"a b/\"\u0026c"#] {
            assert!(of("k").contains(&form), "{form}: {:?}", of("k"));
        }
        assert!(of("key").contains(&"second line"), "{:?}", of("key"));
        assert!(of("db.password").contains(&"Pass%20word"), "{:?}", of("db.password"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_without_its_content() {
        for (path, content) in [
            ("/etc/s.toml", "a = 1\ntoken = hunter2\n"),
            ("/etc/s.json", "{\n\"token\": hunter2}"),
            ("/etc/s.json", "\n[\"hunter2\"]"),
        ] {
            let error = Secrets::parse(path, content.as_bytes()).unwrap_err();
            assert!(error.starts_with(&format!("{path}:2 ")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(Secrets::parse("/s", b"\xff").unwrap_err().contains("UTF-8"));
        let large = vec![b'#'; LARGEST + 1];
        assert!(Secrets::parse("/s", &large).unwrap_err().contains("64 kB"));
    }

    #[test]
    fn a_fingerprint_changes_with_salt_names_and_values() {
        let one = Secrets::parse("/s", TOML.as_bytes()).unwrap();
        let two = Secrets::parse("/s", TOML.replace("hunter2", "hunter3").as_bytes()).unwrap();
        let [token, both] = [vec!["token"], vec!["port", "token"]]
            .map(|names| names.into_iter().map(name).collect());
        let print =
            Fingerprint { generation: 1, salt: "a".into(), mac: one.fingerprint(&token, "a") };
        assert!(print.is_of(&one, &token));
        assert!(!print.is_of(&two, &token) && !print.is_of(&one, &both));
        assert_ne!(one.fingerprint(&token, "a"), one.fingerprint(&token, "b"));
        let port = BTreeSet::from([name("port")]);
        assert_eq!(one.fingerprint(&port, "a"), two.fingerprint(&port, "a"), "others do not count");
        assert_eq!(salt().unwrap().len(), 32);
        assert_ne!(salt().unwrap(), salt().unwrap());
    }
}
