//! Models on another machine: any server that speaks the Open Inference Protocol (KServe's version 2).
//!
//! `address` is where a server is, `access` what it is told in secret, `http` and `grpc` speak with it. `json` and
//! `messages` are what is said, `array` the numbers in it.

mod access;
mod address;
mod array;
mod grpc;
mod http;
mod json;
mod messages;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

pub use access::{Access, AccessError, CERTIFICATES, TOKEN, TOKEN_FILE};
pub use address::{Address, AddressError, Protocol};
pub(in crate::nn) use array::Array;
pub use array::datatype;

use super::{runtime::Cancel, tensor::Port};

/// Reads bytes as the replies to all questions, to see what breaks.
#[cfg(fuzzing)]
pub fn read_reply(body: &[u8], n_json: Option<usize>) {
    drop(json::metadata(body));
    json::takes_bytes(body);
    drop(json::answer(body, n_json));
    json::error(body);
    grpc::read_reply(body);
}

/// How often it is looked whether somebody waits still.
const TICK: Duration = Duration::from_millis(20);

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it is there.
    pub connect: Duration,
    /// Until it has answered.
    pub answer: Duration,
    /// Before the second try of a connection that broke; doubled before each further one.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(120),
            pause: Duration::from_millis(500),
        }
    }
}

impl Patience {
    /// Time until a question on the state of a server or the form of a model is answered, which takes no work.
    fn status(&self) -> Duration {
        const STATUS: Duration = Duration::from_secs(15);
        self.answer.min(STATUS)
    }
}

/// Tries of a connection.
const TRIES: u32 = 4;

/// Why a server does not do what it should. No token is in any of it.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Something with what it is told in secret.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// There is no connection, or it breaks.
    #[error(
        "cannot reach the server {address}: {cause}; look whether it runs and can be reached from here, then try again"
    )]
    Unreachable {
        /// The server.
        address: Address,
        /// What the system says.
        cause: String,
    },
    /// It says nothing.
    #[error(
        "the server {address} has not answered within {seconds} s; look whether it is overloaded, then try again"
    )]
    Silent {
        /// The server.
        address: Address,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It is there, but not its models.
    #[error("the server {address} is not ready; wait until it has loaded its models, then try again")]
    NotReady {
        /// The server.
        address: Address,
    },
    /// It wants a token, or another.
    #[error(
        "the server {address} does not let Segue in: {cause}; put its token into the environment variable {TOKEN}"
    )]
    Denied {
        /// The server.
        address: Address,
        /// What it says.
        cause: String,
    },
    /// It has not what is to run.
    #[error(
        "the server {address} has no model {name} (the {part}), or has not loaded it; write it with `segue models export \
         MODEL --out DIR`, with the same MODEL and --size, and have the server load DIR"
    )]
    NoPart {
        /// The server.
        address: Address,
        /// What it should be called.
        name: String,
        /// Which part that is.
        part: String,
    },
    /// What it has is something else.
    #[error(
        "the model {name} of the server {address} is not the {part}: {cause}; write it anew with `segue models export MODEL \
         --out DIR` and have the server load DIR"
    )]
    OtherPart {
        /// The server.
        address: Address,
        /// What it is called.
        name: String,
        /// Which part it should be.
        part: String,
        /// What differs.
        cause: String,
    },
    /// It does not do it.
    #[error("the server {address} refuses to run the {part}: {cause}; its own log may say more")]
    Refused {
        /// The server.
        address: Address,
        /// What was to run.
        part: String,
        /// What it says.
        cause: String,
    },
    /// Its answer is none.
    #[error(
        "the server {address} gives no sensible answer for the {part}: {cause}; look whether it is the right server"
    )]
    Wrong {
        /// The server.
        address: Address,
        /// What was to run.
        part: String,
        /// What is wrong with its answer.
        cause: String,
    },
    /// A [`Cancel`] was used.
    #[error("canceled")]
    Canceled,
}

/// Why one request did not end well.
enum Broken {
    /// Worth another try.
    Connection(String),
    /// The server has not answered in this time.
    Silent(Duration),
    Denied(String),
    Refused(String),
    /// The answer is none.
    Wrong(String),
    Canceled,
}

/// What is in an answer: a name and an array each.
type Named = (String, Array);

/// What a server says of a model.
struct Metadata {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

/// As servers describe it: dimensions below zero are those that are only known when it runs.
fn port(name: String, datatype: &str, shape: &[i64]) -> Port {
    let shape = shape.iter().map(|&n| usize::try_from(n).ok()).collect();
    Port { name, shape, kind: array::kind(datatype) }
}

/// Servers have no common way to say that they have no such model.
fn is_of_unknown_model(cause: &str) -> bool {
    let cause = cause.to_lowercase();
    ["unknown model", "not found", "not exist", "no such model"].iter().any(|words| cause.contains(words))
}

enum Client {
    Http(http::Client),
    Grpc(grpc::Client),
}

/// A server that is there and ready.
pub struct Server {
    address: Address,
    client: Client,
    access: Access,
    patience: Patience,
}

impl Server {
    /// Finds the server, with what the environment says of tokens and certificates.
    ///
    /// # Errors
    /// If it may not be told the token, is not there, or not ready.
    pub fn connect(address: &Address) -> Result<Self, RemoteError> {
        Self::connect_with(address, &Access::from_environment()?, Patience::default())
    }

    /// Finds the server.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_with(address: &Address, access: &Access, patience: Patience) -> Result<Self, RemoteError> {
        access.allow(address)?;
        let client = match address.protocol() {
            Protocol::Http => Client::Http(http::Client::new(address, access, patience)),
            Protocol::Grpc => match grpc::Client::new(address, access, patience) {
                Ok(client) => Client::Grpc(client),
                Err(Broken::Connection(cause)) => {
                    return Err(RemoteError::Unreachable { address: address.clone(), cause });
                }
                Err(_) => return Err(RemoteError::NotReady { address: address.clone() }),
            },
        };
        let server = Self { address: address.clone(), client, access: access.clone(), patience };
        let is_ready =
            server.insist("question whether it is ready", &Cancel::default(), |client| match client {
                Client::Http(client) => client.is_ready(),
                Client::Grpc(client) => client.is_ready(),
            })?;
        if is_ready { Ok(server) } else { Err(RemoteError::NotReady { address: address.clone() }) }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The server's model `name`, which is to be the `part` of a model that takes `inputs` and makes `outputs`.
    ///
    /// # Errors
    /// If the server has no such model, or it takes or makes something else.
    pub(super) fn part(
        self: &Arc<Self>,
        name: String,
        part: &str,
        inputs: Vec<Port>,
        outputs: Vec<Port>,
    ) -> Result<RemoteModel, RemoteError> {
        let found = self.insist(part, &Cancel::default(), |client| match client {
            Client::Http(client) => client.metadata(&name),
            Client::Grpc(client) => client.metadata(&name),
        })?;
        let (address, part) = (self.address.clone(), part.to_owned());
        let Some(found) = found else { return Err(RemoteError::NoPart { address, name, part }) };
        let same = is_same("takes", &inputs, &found.inputs).and(is_same("makes", &outputs, &found.outputs));
        match same {
            Ok(()) => Ok(RemoteModel { server: self.clone(), name, part, inputs, outputs }),
            Err(cause) => {
                let cause = self.access.quoted(&cause);
                Err(RemoteError::OtherPart { address, name, part, cause })
            }
        }
    }

    /// Asks as often as it makes sense.
    fn insist<T>(
        &self,
        part: &str,
        cancel: &Cancel,
        ask: impl Fn(&Client) -> Result<T, Broken>,
    ) -> Result<T, RemoteError> {
        let (address, part) = (self.address.clone(), part.to_owned());
        let (mut n_tries, mut pause) = (1, self.patience.pause);
        loop {
            let broken = match ask(&self.client) {
                Ok(answer) => return Ok(answer),
                Err(Broken::Connection(_)) if n_tries < TRIES => {
                    wait(pause, cancel)?;
                    (n_tries, pause) = (n_tries + 1, pause * 2);
                    continue;
                }
                Err(broken) => broken,
            };
            return Err(match broken {
                Broken::Connection(cause) => RemoteError::Unreachable { address, cause },
                Broken::Silent(time) => RemoteError::Silent { address, seconds: time.as_secs().max(1) },
                Broken::Denied(cause) => RemoteError::Denied { address, cause },
                Broken::Refused(cause) => RemoteError::Refused { address, part, cause },
                Broken::Wrong(cause) => RemoteError::Wrong { address, part, cause },
                Broken::Canceled => RemoteError::Canceled,
            });
        }
    }
}

/// Waits, unless nobody wants to.
fn wait(pause: Duration, cancel: &Cancel) -> Result<(), RemoteError> {
    let end = Instant::now() + pause;
    while Instant::now() < end {
        if cancel.is_canceled() {
            return Err(RemoteError::Canceled);
        }
        thread::sleep(TICK.min(pause));
    }
    Ok(())
}

/// Whether a server's model has the ports that it should have, in any order; what differs if not.
fn is_same(does: &str, wanted: &[Port], found: &[Port]) -> Result<(), String> {
    for port in wanted {
        let Some(other) = found.iter().find(|other| other.name == port.name) else {
            return Err(format!("it {does} no {}", port.name));
        };
        if other.kind != port.kind || other.shape != port.shape {
            let (is, should) = (array::described(other), array::described(port));
            return Err(format!("{} is {is}, not {should}", port.name));
        }
    }
    match found.iter().find(|other| !wanted.iter().any(|port| port.name == other.name)) {
        Some(other) => Err(format!("it {does} {} too", other.name)),
        None => Ok(()),
    }
}

/// A part of a model, on a server.
pub(super) struct RemoteModel {
    server: Arc<Server>,
    name: String,
    part: String,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
}

impl RemoteModel {
    /// Runs there; the outputs are in the graph's order.
    ///
    /// # Errors
    /// If canceled, or the server does not do it.
    pub(super) fn run(&self, inputs: &[(&str, &Array)], cancel: &Cancel) -> Result<Vec<Array>, RemoteError> {
        if cancel.is_canceled() {
            return Err(RemoteError::Canceled);
        }
        let mut answer = self.server.insist(&self.part, cancel, |client| match client {
            Client::Http(client) => client.infer(&self.name, inputs, &self.outputs, cancel),
            Client::Grpc(client) => client.infer(&self.name, inputs, &self.outputs, cancel),
        })?;
        let mut take = |port: &Port| {
            let at = answer.iter().position(|(name, _)| *name == port.name);
            let (_, array) = answer.swap_remove(at.ok_or_else(|| format!("{} is missing", port.name))?);
            array.is_for(port).map(|()| array)
        };
        let arrays: Result<Vec<Array>, String> = self.outputs.iter().map(&mut take).collect();
        arrays.map_err(|cause| RemoteError::Wrong {
            address: self.server.address.clone(),
            part: self.part.clone(),
            cause: self.server.access.quoted(&cause),
        })
    }
}
