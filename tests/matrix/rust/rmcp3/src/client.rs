//! The client. The mode `auto` finds out the server's era, `legacy` begins with `initialize`.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rmcp::model::{
    CallToolRequestParams, ClientConfig, Implementation, NumberOrString, ProgressNotificationParam, ProgressToken,
    ProtocolVersion, RequestMetaObject,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, NotificationContext, RunningService};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, RoleClient};
use script::client::{Client, Outcome, Progress, Target};
use serde_json::{Map, Value, json};

/// Hands progress on to the call of the moment.
#[derive(Default)]
struct Handler {
    progress: Arc<Mutex<Progress>>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        info.client_info = Implementation::new("mcppool-matrix", "1");
        info
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let update = json!({"progress": params.progress, "total": params.total, "message": params.message});
        self.progress.lock().expect("nobody panics with the lock").lock().expect("as before").push(update);
    }
}

pub struct Session {
    service: RunningService<RoleClient, Handler>,
    progress: Arc<Mutex<Progress>>,
}

impl Client for Session {
    async fn connect(target: &Target, mode: &str) -> Outcome<(Self, Value)> {
        let mode = match mode {
            "auto" => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: None,
            },
            _ => ClientLifecycleMode::Initialize,
        };
        let handler = Handler::default();
        let progress = handler.progress.clone();
        let service = match target {
            Target::Url(url) => {
                handler.serve_with_lifecycle(StreamableHttpClientTransport::from_uri(url.as_str()), mode).await?
            }
            Target::Command(words) => {
                let mut command = tokio::process::Command::new(&words[0]);
                command.args(&words[1..]);
                let (transport, _) = TokioChildProcess::builder(command).stderr(Stdio::null()).spawn()?;
                handler.serve_with_lifecycle(transport, mode).await?
            }
        };
        let hello = json!(service.peer_info().as_deref());
        Ok((Self { service, progress }, hello))
    }

    async fn list(&mut self, what: &str) -> Outcome<Value> {
        let peer = self.service.peer();
        Ok(match what {
            "tools" => json!(peer.list_all_tools().await?),
            "prompts" => json!(peer.list_all_prompts().await?),
            _ => json!(peer.list_all_resources().await?),
        })
    }

    async fn call(&mut self, tool: &str, arguments: Map<String, Value>, progress: Progress) -> Outcome<Value> {
        *self.progress.lock().expect("nobody panics with the lock") = progress;
        let mut params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let mut meta = RequestMetaObject::new();
        meta.set_progress_token(ProgressToken(NumberOrString::String(format!("progress of {tool}").into())));
        params.meta = Some(meta);
        Ok(json!(self.service.call_tool(params).await?))
    }

    async fn read(&mut self, uri: &str) -> Outcome<Value> {
        Ok(json!(self.service.read_resource(serde_json::from_value(json!({"uri": uri}))?).await?))
    }

    async fn prompt(&mut self, name: &str, arguments: Map<String, Value>) -> Outcome<Value> {
        let params = serde_json::from_value(json!({"name": name, "arguments": arguments}))?;
        Ok(json!(self.service.get_prompt(params).await?))
    }

    async fn close(mut self) -> Outcome<()> {
        self.service.close().await?;
        Ok(())
    }
}
