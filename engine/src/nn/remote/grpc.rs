//! The protocol over gRPC: asynchronous within, blocking without.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use prost::bytes::Bytes;
use tokio::{runtime, time::timeout};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{
    super::{
        runtime::Cancel,
        tensor::{Port, PortKind},
    },
    Access, Address, Broken, Metadata, Named, Patience, TICK,
    array::{Array, datatype, kind},
    messages::{
        InferInputTensor, InferOutputTensor, InferRequestedOutputTensor, InferTensorContents,
        ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
        ServerReadyRequest, ServerReadyResponse, TensorMetadata,
    },
};

/// No answer is longer, in bytes; what gRPC allows by itself is less than one image's features.
const LONGEST: usize = 1 << 30;
/// Bytes under way before the other side has said that it has them.
const WINDOW: u32 = 16 << 20;

/// Speaks with one server.
pub(super) struct Client {
    runtime: runtime::Runtime,
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
    access: Access,
    patience: Patience,
}

impl Client {
    pub(super) fn new(address: &Address, access: &Access, patience: Patience) -> Result<Self, Broken> {
        let failed = |error: &(dyn std::error::Error + 'static)| Broken::Connection(told(error));
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let endpoint = Endpoint::from_shared(address.url()).map_err(|error| failed(&error))?;
        let mut endpoint = endpoint
            .connect_timeout(patience.connect)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| failed(&error))?;
        if address.is_secure() {
            let tls = match &access.certificates {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_webpki_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(|error| failed(&error))?;
        }
        let authorization = access.token.as_ref().and_then(|token| {
            let mut value: MetadataValue<Ascii> = token.bearer().parse().ok()?;
            // Whoever prints a request does not print this.
            value.set_sensitive(true);
            Some(value)
        });
        let channel = {
            let _entered = runtime.enter();
            endpoint.connect_lazy()
        };
        Ok(Self { runtime, channel, authorization, access: access.clone(), patience })
    }

    pub(super) fn is_ready(&self) -> Result<bool, Broken> {
        let asked =
            self.ask("ServerReady", ServerReadyRequest {}, self.patience.status(), &Cancel::default());
        asked.map(|answer: ServerReadyResponse| answer.ready)
    }

    /// None if it has no such model.
    pub(super) fn metadata(&self, model: &str) -> Result<Option<Metadata>, Broken> {
        let request = ModelMetadataRequest { name: model.to_owned(), version: String::new() };
        let answer: ModelMetadataResponse =
            match self.ask("ModelMetadata", request, self.patience.status(), &Cancel::default()) {
                Err(Broken::Refused(cause) | Broken::Connection(cause))
                    if super::is_of_unknown_model(&cause) =>
                {
                    return Ok(None);
                }
                answer => answer?,
            };
        let port = |tensor: TensorMetadata| super::port(tensor.name, &tensor.datatype, &tensor.shape);
        Ok(Some(Metadata {
            inputs: answer.inputs.into_iter().map(port).collect(),
            outputs: answer.outputs.into_iter().map(port).collect(),
        }))
    }

    pub(super) fn infer(
        &self,
        model: &str,
        inputs: &[(&str, &Array)],
        outputs: &[Port],
        cancel: &Cancel,
    ) -> Result<Vec<Named>, Broken> {
        let answer =
            self.ask("ModelInfer", question(model, inputs, outputs), self.patience.answer, cancel)?;
        arrays(answer).map_err(|cause| Broken::Wrong(self.access.quoted(&cause)))
    }

    fn ask<Q, A>(
        &self,
        method: &'static str,
        question: Q,
        patience: Duration,
        cancel: &Cancel,
    ) -> Result<A, Broken>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut request = Request::new(question);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        let path = format!("/inference.GRPCInferenceService/{method}");
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LONGEST);
        let exchange = async move {
            let path = PathAndQuery::try_from(path).map_err(|e| Status::internal(e.to_string()))?;
            grpc.ready().await.map_err(|e| Status::unavailable(told(&e)))?;
            grpc.unary(request, path, ProstCodec::<Q, A>::default()).await
        };
        let answer = self.runtime.block_on(self.wait(exchange, patience, cancel))?;
        answer.map(tonic::Response::into_inner).map_err(|status| self.broken(&status, patience))
    }

    /// Waits, at most until it is canceled or patience has run out; the server is then told that nobody waits.
    async fn wait<T>(
        &self,
        exchange: impl Future<Output = T>,
        patience: Duration,
        cancel: &Cancel,
    ) -> Result<T, Broken> {
        let mut exchange = std::pin::pin!(exchange);
        let end = Instant::now() + self.patience.connect + patience;
        loop {
            match timeout(TICK, &mut exchange).await {
                Ok(answer) => return Ok(answer),
                Err(_) if cancel.is_canceled() => return Err(Broken::Canceled),
                Err(_) if Instant::now() < end => {}
                Err(_) => return Err(Broken::Silent(patience)),
            }
        }
    }

    fn broken(&self, status: &Status, patience: Duration) -> Broken {
        let source = std::error::Error::source(status);
        let said = source.map_or_else(|| status.message().to_owned(), told);
        let cause = self.access.quoted(&format!("{}: {said}", status.code()));
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Broken::Denied(cause),
            Code::DeadlineExceeded => Broken::Silent(patience),
            Code::Unavailable => Broken::Connection(cause),
            // What broke on the way has a cause, what the server says has none.
            _ if source.is_some() => Broken::Connection(cause),
            _ => Broken::Refused(cause),
        }
    }
}

/// An error with what is behind it: the transport's own errors say only that they are some.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn question(model: &str, inputs: &[(&str, &Array)], outputs: &[Port]) -> ModelInferRequest {
    let input = |(name, array): &(&str, &Array)| InferInputTensor {
        name: (*name).to_owned(),
        datatype: datatype(array.kind).to_owned(),
        shape: array.shape.iter().map(|&n| n as i64).collect(),
    };
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs: inputs.iter().map(input).collect(),
        outputs: outputs.iter().map(|p| InferRequestedOutputTensor { name: p.name.clone() }).collect(),
        raw_input_contents: inputs.iter().map(|(_, a)| Bytes::from(a.bytes.clone())).collect(),
    }
}

/// Reads bytes as an answer with arrays, to see what breaks.
#[cfg(fuzzing)]
pub(super) fn read_reply(body: &[u8]) {
    if let Ok(answer) = <ModelInferResponse as prost::Message>::decode(body) {
        drop(arrays(answer));
    }
}

/// Reads the arrays of an answer, in raw bytes or number by number.
fn arrays(answer: ModelInferResponse) -> Result<Vec<Named>, String> {
    let ModelInferResponse { outputs, raw_output_contents: raw, .. } = answer;
    if !raw.is_empty() && raw.len() != outputs.len() {
        return Err(format!("it names {} outputs and has {}", outputs.len(), raw.len()));
    }
    let mut raw = raw.into_iter();
    let array = |output: InferOutputTensor| {
        let InferOutputTensor { name, datatype, shape, contents } = output;
        let kind = kind(&datatype);
        let shape = shape.iter().map(|&n| usize::try_from(n).map_err(|e| format!("{name}: {e}: {n}")));
        let shape = shape.collect::<Result<Vec<_>, _>>()?;
        let array = match raw.next() {
            Some(bytes) => Array::of(kind, shape, bytes.to_vec()),
            None => of_contents(kind, shape, contents.unwrap_or_default()),
        };
        array.map(|array| (name.clone(), array)).map_err(|cause| format!("{name}: {cause}"))
    };
    outputs.into_iter().map(array).collect()
}

fn of_contents(kind: PortKind, shape: Vec<usize>, contents: InferTensorContents) -> Result<Array, String> {
    let InferTensorContents { int64_contents, uint_contents, fp32_contents } = contents;
    let numbers: Vec<f64> = match kind {
        PortKind::Float => fp32_contents.into_iter().map(f64::from).collect(),
        PortKind::Byte => uint_contents.into_iter().map(f64::from).collect(),
        PortKind::Integer => int64_contents.into_iter().map(|n| n as f64).collect(),
        PortKind::Half | PortKind::Other => Vec::new(),
    };
    Array::of_numbers(kind, shape, &numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(name: &str, shape: &[i64], contents: Option<InferTensorContents>) -> InferOutputTensor {
        InferOutputTensor {
            name: name.to_owned(),
            datatype: "FP32".to_owned(),
            shape: shape.to_vec(),
            contents,
        }
    }

    #[test]
    fn answers_are_read_raw_and_number_by_number() {
        let floats = [0.1_f32, -3.5];
        let bytes: Vec<u8> = floats.iter().flat_map(|v| v.to_le_bytes()).collect();
        let wanted = Array::of(PortKind::Float, vec![2], bytes.clone()).unwrap();
        let raw = ModelInferResponse {
            outputs: vec![output("y", &[2], None)],
            raw_output_contents: vec![bytes.clone().into()],
            ..Default::default()
        };
        let contents = InferTensorContents { fp32_contents: floats.to_vec(), ..Default::default() };
        let typed =
            ModelInferResponse { outputs: vec![output("y", &[2], Some(contents))], ..Default::default() };
        for answer in [raw, typed] {
            assert_eq!(arrays(answer).unwrap(), [("y".to_owned(), wanted.clone())]);
        }
        for (shape, raw, says) in [
            (&[3][..], vec![bytes.clone()], "y: 8 bytes are not [3]"),
            (&[-2], vec![bytes.clone()], "y: "),
            (&[2], vec![bytes.clone(), bytes.clone()], "names 1 outputs and has 2"),
            (&[2], vec![], "y: 0 numbers are not [2]"),
        ] {
            let raw = raw.into_iter().map(Into::into).collect();
            let answer = ModelInferResponse {
                outputs: vec![output("y", shape, None)],
                raw_output_contents: raw,
                ..Default::default()
            };
            let error = arrays(answer).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_question_carries_its_numbers_raw() {
        let array = Array::of(PortKind::Byte, vec![1, 2], vec![7, 8]).unwrap();
        let port = Port { name: "y".to_owned(), shape: vec![None], kind: PortKind::Float };
        let asked = question("m", &[("x", &array)], &[port]);
        assert_eq!((asked.model_name.as_str(), &asked.raw_input_contents[0][..]), ("m", &[7, 8][..]));
        assert_eq!((asked.inputs[0].datatype.as_str(), &asked.inputs[0].shape[..]), ("UINT8", &[1, 2][..]));
        assert_eq!(asked.outputs[0].name, "y");
    }
}
