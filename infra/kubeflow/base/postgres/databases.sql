-- For psql as superuser: one role and one database each for MLflow, Optuna and feedback. It may be
-- run again, and then sets the passwords it is given.
\set ON_ERROR_STOP on
\getenv mlflow MLFLOW_DB_PASSWORD
\getenv study STUDY_DB_PASSWORD
\getenv feedback FEEDBACK_DB_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['mlflow', 'study', 'feedback']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE mlflow PASSWORD :'mlflow';
ALTER ROLE study PASSWORD :'study';
ALTER ROLE feedback PASSWORD :'feedback';

SELECT format('CREATE DATABASE %I OWNER %I', name, name)
FROM unnest(ARRAY['mlflow', 'study', 'feedback']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

-- Without this every role may enter every database.
REVOKE ALL ON DATABASE mlflow, study, feedback, postgres FROM PUBLIC;
