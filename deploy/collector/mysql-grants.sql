-- What the MySQL receiver needs, and nothing else: it can read no table of the shop. As an
-- administrator: mysql < mysql-grants.sql (with another password here and in MYSQL_PASSWORD).

CREATE USER IF NOT EXISTS 'otel'@'%' IDENTIFIED BY 'otel' WITH MAX_USER_CONNECTIONS 5;

-- Threads and statements of all users.
GRANT PROCESS ON *.* TO 'otel'@'%';
-- SHOW REPLICA STATUS. Without it each look leaves an error in the Collector's log.
GRANT REPLICATION CLIENT ON *.* TO 'otel'@'%';
-- Waits, statements and locks.
GRANT SELECT ON performance_schema.* TO 'otel'@'%';
