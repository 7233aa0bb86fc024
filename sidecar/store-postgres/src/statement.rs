//! A statement that is put together from parts, with its values.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Executor as _, SqlSafeStr as _, Type};

/// SQL and its values. The text depends only on which parts are there, never on a value, so that each variant is prepared once.
#[derive(Default)]
pub struct Statement {
    sql: String,
    arguments: PgArguments,
    failed: Option<BoxDynError>,
}

impl Statement {
    /// Starts with a text.
    pub fn new(sql: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            ..Self::default()
        }
    }

    /// Appends text.
    pub fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// Adds a value and returns what stands for it, with its type (so that nothing depends on what the server infers).
    pub fn value<'q, T>(&mut self, value: T, sql_type: &str) -> String
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        if let Err(error) = self.arguments.add(value) {
            self.failed.get_or_insert(error);
        }
        format!("${}::{sql_type}", self.arguments.len())
    }

    /// Adds a value and appends what stands for it.
    pub fn bind<'q, T>(&mut self, value: T, sql_type: &str) -> &mut Self
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        let placeholder = self.value(value, sql_type);
        self.push(&placeholder);
        self
    }

    /// Appends an assignment to an `UPDATE ... SET `.
    pub fn set<'q, T>(&mut self, name: &str, value: T, sql_type: &str) -> &mut Self
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        if !self.sql.ends_with("SET ") {
            self.push(", ");
        }
        self.push(name);
        self.push(" = ");
        self.bind(value, sql_type)
    }

    /// Runs a read. Its values are kept, so that it can be run again.
    pub async fn fetch(&self, connection: &mut PgConnection) -> Result<Vec<PgRow>, sqlx::Error> {
        if let Some(error) = &self.failed {
            return Err(sqlx::Error::Encode(error.to_string().into()));
        }
        sqlx::query_with(AssertSqlSafe(self.sql.as_str()), self.arguments.clone())
            .fetch_all(connection)
            .await
    }

    /// Prepares it unless this connection has done so before. Nothing is executed: an error here leaves everything as it was.
    pub async fn prepare(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if let Some(error) = &self.failed {
            return Err(sqlx::Error::Encode(error.to_string().into()));
        }
        connection
            .prepare(AssertSqlSafe(self.sql.as_str()).into_sql_str())
            .await
            .map(drop)
    }

    /// Runs a write to the end of its answer, which for a statement of its own is the end of its transaction. Tells whether it
    /// returned a row.
    pub async fn run(self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        if let Some(error) = self.failed {
            return Err(sqlx::Error::Encode(error));
        }
        let row = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments)
            .fetch_optional(connection)
            .await?;
        Ok(row.is_some())
    }
}
