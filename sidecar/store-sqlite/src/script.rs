//! Several statements in one hop to the connection's thread.
//!
//! The driver runs a text with several statements in order and stops at the first that fails; values are bound in the order of
//! their question marks. So a whole transaction costs one message to the thread and one answer per statement.

use std::fmt::Write;

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Either, Executor};

/// A value to bind.
#[derive(Debug)]
pub enum Value {
    /// Absent.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// Statements with their values.
#[derive(Debug, Default)]
pub struct Script {
    sql: String,
    values: Vec<Value>,
    statements: usize,
}

/// Where a script failed.
#[derive(Debug)]
pub struct Failure {
    /// What SQLite says.
    pub error: sqlx::Error,
    /// True when all statements but the last had succeeded.
    pub at_last: bool,
}

impl Script {
    /// Adds a statement (without semicolon) and its values.
    pub fn add(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(sql);
        self.sql.push(';');
        self.values.extend(values);
        self.statements += 1;
    }

    /// Adds `INSERT` statements for any number of rows: `head VALUES (?,..),.. tail`, each with as many rows as fit.
    pub fn add_rows<const N: usize>(
        &mut self,
        head: &str,
        tail: &str,
        rows: impl IntoIterator<Item = [Value; N]>,
    ) {
        // SQLite binds at most 32,766 values in one statement.
        let rows_max = 30_000 / N;
        let row = format!("({})", ["?"; N].join(","));
        let mut count = 0;
        for values in rows {
            if count == 0 {
                _ = write!(self.sql, "{head} VALUES {row}");
            } else {
                _ = write!(self.sql, ",{row}");
            }
            self.values.extend(values);
            count += 1;
            if count == rows_max {
                self.end_rows(tail);
                count = 0;
            }
        }
        if count > 0 {
            self.end_rows(tail);
        }
    }

    fn end_rows(&mut self, tail: &str) {
        self.sql.push(' ');
        self.sql.push_str(tail);
        self.sql.push(';');
        self.statements += 1;
    }

    /// Runs all statements.
    pub async fn run(self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        // Texts differ with the number of rows; kept prepared they would only fill memory.
        let mut query = sqlx::query(AssertSqlSafe(self.sql)).persistent(false);
        for value in self.values {
            query = match value {
                Value::Null => query.bind(None::<i64>),
                Value::Int(n) => query.bind(n),
                Value::Text(t) => query.bind(t),
                Value::Blob(b) => query.bind(b),
            };
        }
        let mut answers = connection.fetch_many(query);
        let mut done = 0;
        loop {
            match answers.try_next().await {
                Ok(Some(Either::Left(_))) => done += 1,
                Ok(Some(Either::Right(_))) => {}
                Ok(None) => return Ok(()),
                Err(error) => {
                    return Err(Failure {
                        error,
                        at_last: done + 1 >= self.statements,
                    });
                }
            }
        }
    }
}

/// A number of the log as a column has it. Sequences fit; whatever is larger stands for "beyond everything".
pub fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number whose bits matter: the signed number with the same bits.
pub fn same_bits(number: u64) -> i64 {
    number as i64
}
