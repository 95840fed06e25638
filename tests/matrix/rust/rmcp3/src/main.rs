//! A server of the matrix on standard streams, on the Rust SDK 3.x.

use rmcp::model::{
    CallToolRequestParams, CallToolResult, CallToolResponse, ContentBlock, Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::{Map, Value, json};

struct Matrix;

fn tool(name: &'static str, description: &'static str, properties: Value) -> Tool {
    let required: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    Tool::new(name, description, schema.as_object().cloned().unwrap_or_default())
}

impl ServerHandler for Matrix {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::default();
        info.capabilities = ServerCapabilities::builder().enable_tools().build();
        info.server_info = Implementation::new("matrix", "1.0.0");
        info.instructions = Some("A server of the matrix.".into());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![
            tool("add", "The sum of two numbers.", json!({"a": {"type": "integer"}, "b": {"type": "integer"}})),
            tool("echo", "The message.", json!({"message": {"type": "string"}})),
            tool("fail", "Fails.", json!({})),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let number = |name: &str| {
            arguments.get(name).and_then(Value::as_i64).ok_or_else(|| ErrorData::invalid_params(format!("{name} is no integer"), None))
        };
        let text = match request.name.as_ref() {
            "add" => (number("a")? + number("b")?).to_string(),
            "echo" => arguments.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            "fail" => return Ok(CallToolResult::error(vec![ContentBlock::text("as asked")]).into()),
            other => return Err(ErrorData::invalid_params(format!("no tool {other}"), None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Matrix.serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}
