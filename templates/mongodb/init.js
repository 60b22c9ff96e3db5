// Makes a replica set with one member and its one user, each if it is missing: whatever a crash leaves behind, the next run
// continues. An empty REPLICA_SET makes none: the data has none. The server is asked over 127.0.0.1, where it lets a client without a user do both until there is one.
const fs = require('fs');
const { MEMBER, PASSWORD_FILE, PORT, REPLICA_SET, USER_NAME } = process.env;
const { APP_DATABASE, APP_PASSWORD_FILE, APP_USER } = process.env;
const uri = `mongodb://127.0.0.1:${PORT}/?directConnection=true&serverSelectionTimeoutMS=5000`;
const password = fs.readFileSync(PASSWORD_FILE, 'utf8').trim();
const admin = new Mongo(uri).getDB('admin');
// The login comes first: once there is a user, only a user may ask for more. It fails while there is none.
let known = false;
try {
  admin.auth(USER_NAME, password);
  known = true;
} catch (refused) {
  known = false;
}
if (REPLICA_SET && !admin.hello().setName) {
  const members = [{ _id: 0, host: MEMBER }];
  admin.runCommand({ replSetInitiate: { _id: REPLICA_SET, members } });
}
for (let i = 0; i < 20 && !admin.hello().isWritablePrimary; i++) sleep(500);
if (!admin.hello().isWritablePrimary) throw new Error('not the primary yet');
// Refused where there is a user already: then the password is not the one that the data was made with.
if (!known) admin.createUser({ user: USER_NAME, pwd: password, roles: ['root'] });
// The user of an app, where it has one: its password and its database follow the stack file.
if (APP_USER) {
  admin.auth(USER_NAME, password);
  const pwd = fs.readFileSync(APP_PASSWORD_FILE, 'utf8').trim();
  const app = { pwd, roles: [{ role: 'readWrite', db: APP_DATABASE }] };
  if (admin.getUser(APP_USER)) admin.updateUser(APP_USER, app);
  else admin.createUser({ user: APP_USER, ...app });
}
