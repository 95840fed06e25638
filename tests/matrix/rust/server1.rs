//! A server of the matrix on standard streams, on the Rust SDK before 2.0: it ends at a first message that is not `initialize`.

use rmcp::model::{
    CallToolRequestParams, CallToolResult, Content, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerInfo, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use script::tools::{Answer, PAUSE, call, tools};
use serde_json::json;

struct Matrix;

impl ServerHandler for Matrix {
    fn get_info(&self) -> ServerInfo {
        let mut info = ServerInfo::default();
        info.capabilities = ServerCapabilities::builder().enable_tools().build();
        info.server_info.name = "matrix".into();
        info.server_info.version = "1.0.0".into();
        info.instructions = Some("A server of the matrix.".into());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = tools().into_iter().map(|tool| Tool::new(tool.name, tool.description, tool.schema));
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let text = match call(&request.name, &request.arguments.unwrap_or_default()) {
            Answer::Text(text) => text,
            Answer::Failed(text) => return Ok(CallToolResult::error(vec![Content::text(text)])),
            Answer::Invalid(text) => return Err(ErrorData::invalid_params(text, None)),
            Answer::Count(steps) => {
                count(steps, &context).await?;
                steps.to_string()
            }
        };
        Ok(CallToolResult::success(vec![Content::text(text)]))
    }
}

/// Reports progress from 1 to `steps`, if the client has asked for it.
async fn count(steps: u32, context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    let Some(token) = context.meta.get_progress_token() else { return Ok(()) };
    for step in 1..=steps {
        let update = json!({"progressToken": token, "progress": step, "total": steps});
        let update = serde_json::from_value(update).map_err(internal)?;
        context.peer.notify_progress(update).await.map_err(internal)?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Matrix.serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}
