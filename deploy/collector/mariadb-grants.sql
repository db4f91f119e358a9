-- Besides mysql-grants.sql, on MariaDB 10.5 or newer only: there SHOW REPLICA STATUS wants this.
-- MySQL does not know it.

GRANT REPLICA MONITOR ON *.* TO 'otel'@'%';
