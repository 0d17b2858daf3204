//! One call of the contract by its name.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::print::Output;
use super::{Done, Failure, json};
use crate::config::admin::Connection;

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin_v1_descriptor.bin"));
const PACKAGE: &str = "unifiedgateway.admin.v1";

/// A gateway to call.
#[derive(Debug)]
pub(super) struct Client {
    pool: DescriptorPool,
    channel: Channel,
    server: String,
    authorization: AsciiMetadataValue,
}

impl Client {
    /// Prepares the connection; it is made by the first call.
    pub(super) fn connect(connection: Connection) -> Done<(Self, Output)> {
        let Connection { server, master_key, ca, identity, timeout, json } = connection;
        let wrong = || Failure::new(format!("--server must be a URL such as http://localhost:4001, is {server}"));
        let mut endpoint =
            Endpoint::from_shared(server.clone()).map_err(|_| wrong())?.timeout(timeout).connect_timeout(timeout);
        if server.starts_with("https://") {
            let mut tls = ClientTlsConfig::new().with_native_roots();
            if let Some(ca) = ca {
                tls = tls.ca_certificate(Certificate::from_pem(ca));
            }
            if let Some((cert, key)) = identity {
                tls = tls.identity(Identity::from_pem(cert, key.expose_secret()));
            }
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|_| Failure::new("the certificates of --ca, --client-cert or --client-key cannot be used"))?;
        } else if !server.starts_with("http://") {
            return Err(wrong());
        }
        let mut authorization = AsciiMetadataValue::try_from(format!("Bearer {}", master_key.expose_secret()))
            .map_err(|_| Failure::new("the master key has characters that cannot be sent"))?;
        authorization.set_sensitive(true);
        let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|_| Failure::new("the contract cannot be read"))?;
        let channel = endpoint.connect_lazy();
        Ok((Self { pool, channel, server, authorization }, Output { json }))
    }

    /// Calls `Service/Method` with a message in the shape of the REST API and answers in the same.
    pub(super) async fn call(&self, name: &str, request: &Value) -> Done<Value> {
        let method = self.method(name)?;
        let message = json::read(&method.input(), request).map_err(Failure)?;
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| self.unreachable(&error))?;
        let path = format!("/{PACKAGE}.{name}").parse().map_err(|_| Failure::new("the contract has no such call"))?;
        let answer = grpc.unary(request, path, DynamicCodec(method.output())).await;
        answer.map(|answer| json::write(answer.get_ref())).map_err(|status| self.explain(&status))
    }

    /// Calls `Service/Method` and hands each message of its answer to `each`, until the gateway ends it.
    pub(super) async fn follow(&self, name: &str, request: &Value, mut each: impl FnMut(&Value) -> Done) -> Done {
        let method = self.method(name)?;
        let message = json::read(&method.input(), request).map_err(Failure)?;
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| self.unreachable(&error))?;
        let path = format!("/{PACKAGE}.{name}").parse().map_err(|_| Failure::new("the contract has no such call"))?;
        let answer = grpc.server_streaming(request, path, DynamicCodec(method.output())).await;
        let mut messages = answer.map_err(|status| self.explain(&status))?.into_inner();
        while let Some(message) = messages.message().await.map_err(|status| self.explain(&status))? {
            each(&json::write(&message))?;
        }
        Ok(())
    }

    /// The message that a call takes.
    pub(super) fn input(&self, name: &str) -> Done<MessageDescriptor> {
        Ok(self.method(name)?.input())
    }

    fn method(&self, name: &str) -> Done<MethodDescriptor> {
        let (service, method) = name.split_once('/').unwrap_or((name, ""));
        let service = self.pool.get_service_by_name(&format!("{PACKAGE}.{service}"));
        let method = service.and_then(|service| service.methods().find(|known| known.name() == method));
        method.ok_or_else(|| Failure::new(format!("the contract has no call {name}")))
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Failure {
        let mut cause = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            cause = error.to_string();
            next = error.source();
        }
        Failure(format!(
            "{} cannot be reached: {cause}. Is the gateway running, is this its gRPC port, and http or https?",
            self.server
        ))
    }

    fn explain(&self, status: &Status) -> Failure {
        let violations = status.get_error_details().bad_request().map(|bad| bad.field_violations.clone());
        let fields = violations.unwrap_or_default();
        if !fields.is_empty() {
            let lines = fields.iter().map(|field| format!("{}: {}", json::rest_path(&field.field), field.description));
            return Failure(lines.collect::<Vec<_>>().join("\n  "));
        }
        match status.code() {
            Code::Unauthenticated => Failure::new("the gateway does not know this master key"),
            Code::PermissionDenied => Failure::new("this is a virtual key; the administration needs the master key"),
            Code::DeadlineExceeded | Code::Cancelled => Failure(format!("{} did not answer in time", self.server)),
            Code::Unimplemented => Failure::new("the gateway does not have this call: its version may be older"),
            Code::Unavailable if std::error::Error::source(status).is_some() => self.unreachable(status),
            _ => Failure(status.message().to_owned()),
        }
    }
}

/// Messages that are known by their descriptor.
#[derive(Debug)]
struct DynamicCodec(MessageDescriptor);

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> DynamicDecoder {
        DynamicDecoder(self.0.clone())
    }
}

#[derive(Debug)]
struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

#[derive(Debug)]
struct DynamicDecoder(MessageDescriptor);

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), buffer);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
