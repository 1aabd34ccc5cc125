-- Run once by the image when the database is made: the hub owns its database and is not a superuser.
\set password `cat /run/secrets/database_hub_password`
CREATE ROLE gatehouse LOGIN PASSWORD :'password';
CREATE DATABASE gatehouse OWNER gatehouse TEMPLATE template0 ENCODING 'UTF8';
