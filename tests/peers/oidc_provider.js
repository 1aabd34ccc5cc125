// A provider of log-ins for tests: npm's certified `oidc-provider`, with its own log-in form, which takes any name.
// Arguments: port, client id, client secret, redirect URI. Says "ready" when it listens.
const { Provider } = require("oidc-provider");

const [port, client, secret, redirect] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: client,
    client_secret: secret,
    redirect_uris: [redirect],
    application_type: "native",
    grant_types: ["authorization_code"],
    response_types: ["code"],
  }],
  pkce: { required: () => true },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("\"ready\""));
