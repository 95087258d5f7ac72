//! What a server may want to be told or to prove: a token, and certificates that vouch for it. Never kept, never shown.

use std::{fmt, path::Path, path::PathBuf};

use super::Address;

/// The token itself.
pub const TOKEN: &str = "SEGUE_SERVER_TOKEN";
/// A file with the token.
pub const TOKEN_FILE: &str = "SEGUE_SERVER_TOKEN_FILE";
/// A file with certificates, as PEM.
pub const CERTIFICATES: &str = "SEGUE_SERVER_CA";

/// Why a server cannot be asked as the environment says; no token is in any of it.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file that a variable names cannot be read.
    #[error("cannot read what {variable} names: {cause}: {}", path.display())]
    File {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The token cannot be sent.
    #[error("the token in {0} is not one word of plain characters; put the token there and nothing else")]
    Token(&'static str),
    /// A file holds no certificate.
    #[error("the file that {CERTIFICATES} names holds no certificate as PEM: {}", .0.display())]
    Certificates(PathBuf),
    /// Others could hear the token.
    #[error(
        "a token is sent over TLS or within this machine only, and {0} is neither; use kserves:// or kserves+grpc://, or \
         unset {TOKEN} and {TOKEN_FILE}"
    )]
    Open(Address),
}

/// A secret word.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    fn of(text: &str, variable: &'static str) -> Result<Self, AccessError> {
        let word = text.trim();
        let is_sound = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sound { Ok(Self(word.to_owned())) } else { Err(AccessError::Token(variable)) }
    }

    /// As the header `Authorization` has it.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// `text` without the token: servers repeat what they were told.
    fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "…")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What the environment says about servers.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// To be told to the server.
    pub(super) token: Option<Token>,
    /// That vouch for the server in place of the usual ones, as PEM.
    pub(super) certificates: Option<Vec<u8>>,
}

impl Access {
    /// What the variables [`TOKEN`], [`TOKEN_FILE`] and [`CERTIFICATES`] say; the first counts for more than the second.
    ///
    /// # Errors
    /// If a file that one names cannot be read, or a token cannot be sent.
    pub fn from_environment() -> Result<Self, AccessError> {
        Self::of(|variable| std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned()))
    }

    /// The same of variables as `read` has them.
    ///
    /// # Errors
    /// As [`Self::from_environment`].
    pub fn of(read: impl Fn(&str) -> Option<String>) -> Result<Self, AccessError> {
        let set = |variable| read(variable).filter(|value| !value.trim().is_empty());
        let file = |variable: &'static str, path: &str| {
            let failed = |cause| AccessError::File { variable, path: path.into(), cause };
            std::fs::read(Path::new(path)).map_err(failed)
        };
        let token = match (set(TOKEN), set(TOKEN_FILE)) {
            (Some(token), _) => Some(Token::of(&token, TOKEN)?),
            (None, Some(path)) => {
                let text = file(TOKEN_FILE, &path)?;
                Some(Token::of(&String::from_utf8_lossy(&text), TOKEN_FILE)?)
            }
            (None, None) => None,
        };
        let certificates = set(CERTIFICATES).map(|path| file(CERTIFICATES, &path)).transpose()?;
        if let Some(pem) = &certificates
            && !String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
        {
            return Err(AccessError::Certificates(set(CERTIFICATES).unwrap_or_default().into()));
        }
        Ok(Self { token, certificates })
    }

    /// Whether the server at `address` may be told the token, if there is one.
    ///
    /// # Errors
    /// If others could hear it.
    pub(super) fn allow(&self, address: &Address) -> Result<(), AccessError> {
        let is_private = address.is_secure() || address.is_loopback();
        if self.token.is_some() && !is_private { Err(AccessError::Open(address.clone())) } else { Ok(()) }
    }

    /// What a server says as part of a sentence: one line, not too long, and without the token.
    pub(super) fn quoted(&self, text: &str) -> String {
        const LONGEST: usize = 300;
        // Before anything is cut off: half a token is one, too.
        let text = self.token.as_ref().map_or_else(|| text.to_owned(), |token| token.hidden_in(text));
        let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let line = words.collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(LONGEST) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line.trim_end_matches('.').to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(variables: &[(&str, &str)]) -> Result<Access, AccessError> {
        Access::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_token_is_never_shown() {
        let access = access(&[(TOKEN, " hunter2\n")]).unwrap();
        assert!(!format!("{access:?}").contains("hunter2"), "{access:?}");
        assert_eq!(access.token.as_ref().unwrap().bearer(), "Bearer hunter2");
        assert_eq!(access.quoted("bad token 'hunter2'\n given."), "bad token '…' given");
        assert_eq!(access.quoted(&"ä".repeat(400)).chars().count(), 301);
        let long = format!("{}hunter2", "x".repeat(297));
        assert!(!access.quoted(&long).contains("hun"), "no part of it either");
    }

    #[test]
    fn a_token_goes_over_tls_or_nowhere_else() {
        let access = access(&[(TOKEN, "hunter2")]).unwrap();
        for (address, may) in [
            ("kserve://gpu.example.org:8000", false),
            ("kserve+grpc://10.0.0.7:8001", false),
            ("kserves://gpu.example.org:8000", true),
            ("kserves+grpc://gpu.example.org:8001", true),
            ("kserve://localhost:8000", true),
            ("kserve+grpc://[::1]:8001", true),
        ] {
            let allowed = access.allow(&address.parse().unwrap());
            assert_eq!(allowed.is_ok(), may, "{address}");
            let sentence = allowed.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!sentence.contains("hunter2"), "{sentence}");
            assert!(Access::default().allow(&address.parse().unwrap()).is_ok());
        }
    }

    #[test]
    fn tokens_come_from_a_variable_or_a_file_and_are_one_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let name = path.to_str().unwrap();
        let missing = access(&[(TOKEN_FILE, name)]).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read what SEGUE_SERVER_TOKEN_FILE names: "), "{missing}");
        let write = |text: &str| {
            use std::io::Write as _;
            crate::file::write_atomically(&path, |out| out.write_all(text.as_bytes())).unwrap();
        };
        write("hunter2\n");
        assert_eq!(access(&[(TOKEN_FILE, name)]).unwrap().token.unwrap().bearer(), "Bearer hunter2");
        let both = access(&[(TOKEN_FILE, name), (TOKEN, "other")]).unwrap();
        assert_eq!(both.token.unwrap().bearer(), "Bearer other");
        assert!(access(&[(TOKEN, "  ")]).unwrap().token.is_none());
        let error = access(&[(TOKEN, "hunter2 \r\n X-Other: yes")]).unwrap_err().to_string();
        assert!(!error.contains("hunter2") && !error.contains("X-Other"), "{error}");
        let error = access(&[(CERTIFICATES, name)]).unwrap_err().to_string();
        assert!(error.contains("holds no certificate"), "{error}");
    }
}
