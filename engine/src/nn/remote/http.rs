//! The protocol over HTTP: each request on a thread of its own, so that whoever waits can end waiting.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Instant,
};

use ureq::{
    Agent,
    http::{HeaderValue, StatusCode, header},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    super::{runtime::Cancel, tensor::Port},
    Access, Address, Broken, Metadata, Named, Patience, TICK,
    array::Array,
    json,
};

/// The header that says how many bytes of a body are JSON.
const N_JSON: &str = "Inference-Header-Content-Length";
/// No answer on the state of a server or the form of a model is longer, in bytes: a server that goes on for ever would fill
/// the memory.
const LONGEST: u64 = 1 << 22;
/// Characters of a number as JSON.
const LONGEST_NUMBER: u64 = 32;
/// No answer with arrays of shapes that are not known is longer, in bytes.
const LONGEST_ARRAYS: u64 = 1 << 30;

/// Speaks with one server.
pub(super) struct Client {
    agent: Agent,
    url: String,
    access: Access,
    patience: Patience,
    /// Whether the server reads bytes after the JSON, once that is known.
    takes_bytes: Mutex<Option<bool>>,
}

/// What came back.
struct Reply {
    status: StatusCode,
    n_json: Option<usize>,
    body: Vec<u8>,
}

/// What is sent, and how much of it is JSON if not all.
struct Question {
    body: Vec<u8>,
    n_json: Option<usize>,
}

impl Client {
    pub(super) fn new(address: &Address, access: &Access, patience: Patience) -> Self {
        let roots = access.certificates.as_ref().map_or(RootCerts::WebPki, |pem| {
            let certificate = |item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            };
            let certificates: Vec<Certificate<'static>> = parse_pem(pem).filter_map(certificate).collect();
            RootCerts::Specific(Arc::new(certificates))
        });
        let config = Agent::config_builder()
            .timeout_connect(Some(patience.connect))
            .timeout_send_body(Some(patience.answer))
            .timeout_recv_response(Some(patience.answer))
            .timeout_recv_body(Some(patience.answer))
            // A token is for this server only: no other that it names, and none in between.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
            .build();
        let takes_bytes = Mutex::new(None);
        Self { agent: config.into(), url: address.url(), access: access.clone(), patience, takes_bytes }
    }

    pub(super) fn is_ready(&self) -> Result<bool, Broken> {
        let reply = self.ask("v2/health/ready", None, LONGEST, &Cancel::default())?;
        match reply.status {
            status if status.is_success() => Ok(true),
            // Some say so with 400; 404 is from a server of something else.
            StatusCode::BAD_REQUEST | StatusCode::SERVICE_UNAVAILABLE => Ok(false),
            _ => Err(self.refusal(&reply)),
        }
    }

    /// None if it has no such model.
    pub(super) fn metadata(&self, model: &str) -> Result<Option<Metadata>, Broken> {
        let reply = self.ask(&format!("v2/models/{model}"), None, LONGEST, &Cancel::default())?;
        if reply.status.is_success() {
            return json::metadata(&reply.body).map(Some).map_err(Broken::Wrong);
        }
        match self.refusal(&reply) {
            Broken::Refused(_) if reply.status == StatusCode::NOT_FOUND => Ok(None),
            Broken::Refused(cause) if super::is_of_unknown_model(&cause) => Ok(None),
            broken => Err(broken),
        }
    }

    pub(super) fn infer(
        &self,
        model: &str,
        inputs: &[(&str, &Array)],
        outputs: &[Port],
        cancel: &Cancel,
    ) -> Result<Vec<Named>, Broken> {
        let path = format!("v2/models/{model}/infer");
        let longest = longest_answer(outputs);
        let known = *self.takes_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let stated = match known {
            Some(takes_bytes) => takes_bytes,
            None => {
                let server = self.ask("v2", None, LONGEST, cancel)?;
                server.status.is_success() && json::takes_bytes(&server.body)
            }
        };
        if stated || known.is_none() {
            // Not all that read bytes say so: what they refuse is asked again as text.
            let (body, n_json) = json::question_with_bytes(inputs, outputs);
            let reply = self.ask(&path, Some(Question { body, n_json: Some(n_json) }), longest, cancel)?;
            if stated || reply.status.is_success() {
                let arrays = self.arrays(&reply)?;
                self.remember(true);
                return Ok(arrays);
            }
        }
        let body = json::question(inputs, outputs).map_err(Broken::Refused)?.into_bytes();
        let reply = self.ask(&path, Some(Question { body, n_json: None }), longest, cancel)?;
        let arrays = self.arrays(&reply)?;
        self.remember(false);
        Ok(arrays)
    }

    fn remember(&self, takes_bytes: bool) {
        *self.takes_bytes.lock().unwrap_or_else(PoisonError::into_inner) = Some(takes_bytes);
    }

    fn arrays(&self, reply: &Reply) -> Result<Vec<Named>, Broken> {
        if !reply.status.is_success() {
            return Err(self.refusal(reply));
        }
        json::answer(&reply.body, reply.n_json).map_err(|cause| Broken::Wrong(self.access.quoted(&cause)))
    }

    /// What an answer means that is no success.
    fn refusal(&self, reply: &Reply) -> Broken {
        let said = self.access.quoted(&json::error(&reply.body));
        let cause =
            if said.is_empty() { reply.status.to_string() } else { format!("{}: {said}", reply.status) };
        match reply.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Broken::Denied(cause),
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Broken::Connection(cause)
            }
            _ => Broken::Refused(cause),
        }
    }

    /// Asks and waits, at most until it is canceled; a request whose answer nobody waits for ends by itself.
    fn ask(
        &self,
        path: &str,
        question: Option<Question>,
        longest: u64,
        cancel: &Cancel,
    ) -> Result<Reply, Broken> {
        // Sending a question takes time as well.
        let (answer, n_waits) =
            if question.is_some() { (self.patience.answer, 2) } else { (self.patience.status(), 1) };
        let end = Instant::now() + self.patience.connect + n_waits * answer;
        let (sender, receiver) = mpsc::sync_channel(1);
        let (agent, url) = (self.agent.clone(), format!("{}/{path}", self.url));
        let token = self.access.token.as_ref().map(|token| token.bearer());
        let body = move || sender.send(exchange(&agent, &url, question, token, longest)).ok();
        let thread = thread::Builder::new().name("server".to_owned()).spawn(body);
        thread.map_err(|error| Broken::Connection(error.to_string()))?;
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(reply) => {
                    return reply.map_err(|error| match error {
                        ureq::Error::Timeout(timeout) if !is_of_connecting(timeout) => Broken::Silent(answer),
                        ureq::Error::BodyExceedsLimit(n) => {
                            Broken::Wrong(format!("it is longer than {n} bytes"))
                        }
                        error => Broken::Connection(self.access.quoted(&error.to_string())),
                    });
                }
                Err(_) if cancel.is_canceled() => return Err(Broken::Canceled),
                Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() < end => {}
                Err(_) => return Err(Broken::Silent(answer)),
            }
        }
    }
}

/// Returns how long an answer with these arrays can be, in bytes.
fn longest_answer(outputs: &[Port]) -> u64 {
    let n_numbers = |port: &Port| {
        let mut dims = port.shape.iter().map(|dim| dim.and_then(|n| u64::try_from(n).ok()));
        dims.try_fold(LONGEST_NUMBER, |n, dim| n.checked_mul(dim?))
    };
    let longest = outputs.iter().try_fold(LONGEST, |n, port| n.checked_add(n_numbers(port)?));
    longest.map_or(LONGEST_ARRAYS, |longest| longest.min(LONGEST_ARRAYS))
}

fn is_of_connecting(timeout: ureq::Timeout) -> bool {
    matches!(timeout, ureq::Timeout::Connect | ureq::Timeout::Resolve)
}

fn exchange(
    agent: &Agent,
    url: &str,
    question: Option<Question>,
    token: Option<String>,
    longest: u64,
) -> Result<Reply, ureq::Error> {
    let authorization = token.map(HeaderValue::try_from).transpose().map_err(ureq::http::Error::from)?;
    let authorization = authorization.map(|mut value| {
        // Whoever prints a request does not print this.
        value.set_sensitive(true);
        value
    });
    let mut response = match question {
        None => {
            let mut request = agent.get(url);
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            request.call()?
        }
        Some(Question { body, n_json }) => {
            let mut request = agent.post(url);
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            request = match n_json {
                Some(n) => request
                    .header(header::CONTENT_TYPE, "application/octet-stream")
                    .header(N_JSON, n.to_string()),
                None => request.header(header::CONTENT_TYPE, "application/json"),
            };
            request.send(&body[..])?
        }
    };
    let n_json = response.headers().get(N_JSON).and_then(|n| n.to_str().ok()?.parse().ok());
    let body = response.body_mut().with_config().limit(longest).read_to_vec()?;
    Ok(Reply { status: response.status(), n_json, body })
}
