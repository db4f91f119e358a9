// What the MongoDB receiver needs where users are switched on, and nothing else: it can read no
// document of the shop. As an administrator: mongosh --authenticationDatabase admin -u …
// mongodb-grants.js (with another password here and in MONGODB_PASSWORD).
db.getSiblingDB('admin').createUser({
  user: 'otel',
  pwd: 'otel',
  roles: ['clusterMonitor'],
});
