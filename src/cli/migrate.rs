//! `plank migrate`

use crate::app::{self, AppError};
use crate::config::{Config, DatabaseArgs};

/// Brings the schema up to date.
pub fn run(args: DatabaseArgs) -> Result<(), AppError> {
    super::start_logger("warn");
    let config = Config::for_database(&args).map_err(|e| AppError(e.to_string()))?;
    actix_rt::System::new().block_on(async {
        let (database, postgres) = app::database(&config).await?;
        let result = app::prepare(&database).await;
        if let Some(postgres) = postgres {
            postgres.stop().await.map_err(|e| AppError(e.to_string()))?;
        }
        match result.map_err(|e| AppError(e.to_string()))? {
            done if done.is_empty() => println!("the schema is up to date"),
            done => done.iter().for_each(|name| println!("applied {name}")),
        }
        Ok(())
    })
}
