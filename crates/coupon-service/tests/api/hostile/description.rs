//! The service's description of itself, at `/openapi.json`.

use serde_json::Value;

use crate::fixture::Api;

/// The whole description.
pub(super) struct Description {
    pub(super) whole: Value,
    pub(super) operations: Vec<Operation>,
}

/// One method of one path.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) method: String,
    /// With `{names}` in it.
    pub(super) path: String,
    /// Names of parameters in the query.
    pub(super) query: Vec<String>,
    /// The schema of its body, if it takes one.
    pub(super) body: Option<Value>,
    pub(super) responses: Value,
}

impl Description {
    pub(super) fn read(api: &Api) -> Self {
        let whole: Value = api.get("/openapi.json").json();
        let mut operations = Vec::new();
        for (path, methods) in whole["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                operations.push(Operation::new(path, method, operation, &whole));
            }
        }
        assert!(operations.len() >= 18, "{} operations are described", operations.len());
        Self { whole, operations }
    }

    /// The operation, if it is described.
    pub(super) fn operation(&self, path: &str, method: &str) -> Option<&Operation> {
        // Whatever can be read can be asked for without its body.
        let method = if method == "HEAD" { "GET" } else { method };
        self.operations.iter().find(|operation| operation.path == path && operation.method == method)
    }

    /// A schema that may be a reference to one.
    pub(super) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        resolve(&self.whole, schema)
    }
}

fn resolve<'a>(whole: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let found = whole.pointer(reference.strip_prefix('#').unwrap());
            found.unwrap_or_else(|| panic!("{reference} is not described"))
        }
        None => schema,
    }
}

impl Operation {
    fn new(path: &str, method: &str, operation: &Value, whole: &Value) -> Self {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        Self {
            method: method.to_uppercase(),
            path: path.to_owned(),
            query: in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect(),
            body: (!schema.is_null()).then(|| resolve(whole, schema).clone()),
            responses: operation["responses"].clone(),
        }
    }
}
