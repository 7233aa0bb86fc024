//! The scripts of `examples/gitops`, run as Argo CD runs them: Lua 5.1, the object as `obj`, no standard library but tables.

use mlua::{Lua, LuaOptions, StdLib, Table};
use serde_json::Value;

const CONFIG_MAP: &str = include_str!("../../../../examples/gitops/argocd-cm.yaml");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Progressing,
    Degraded,
    Suspended,
}

pub struct Argo {
    config_map: Value,
}

impl Argo {
    pub fn new() -> Self {
        let config_map = serde_yaml::from_str(CONFIG_MAP).unwrap();
        Self { config_map }
    }

    /// The script for a kind.
    pub fn script(&self, kind: &str) -> &str {
        let key = format!("resource.customizations.health.tidelog.dev_{kind}");
        self.config_map["data"][&key].as_str().expect(&key)
    }

    /// What is shown of an object, and the sentence beside it.
    pub fn health(&self, object: &Value) -> (Health, String) {
        let kind = object["kind"].as_str().unwrap();
        let script = self.script(kind);
        let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default()).unwrap();
        lua.globals().set("obj", value(&lua, object)).unwrap();
        let shown: Table = lua.load(script).eval().unwrap();
        let health: String = shown.get("status").unwrap();
        let health = match health.as_str() {
            "Healthy" => Health::Healthy,
            "Progressing" => Health::Progressing,
            "Degraded" => Health::Degraded,
            "Suspended" => Health::Suspended,
            other => panic!("{other} is no health"),
        };
        (health, shown.get("message").unwrap())
    }
}

fn value(lua: &Lua, json: &Value) -> mlua::Value {
    match json {
        Value::Null => mlua::Value::Nil,
        Value::Bool(is) => mlua::Value::Boolean(*is),
        // The only kind of number that this Lua has.
        Value::Number(number) => mlua::Value::Number(number.as_f64().unwrap()),
        Value::String(text) => mlua::Value::String(lua.create_string(text).unwrap()),
        Value::Array(items) => {
            let items = items.iter().map(|item| value(lua, item));
            mlua::Value::Table(lua.create_sequence_from(items).unwrap())
        }
        Value::Object(map) => {
            let fields = map
                .iter()
                .map(|(key, item)| (key.as_str(), value(lua, item)));
            mlua::Value::Table(lua.create_table_from(fields).unwrap())
        }
    }
}
