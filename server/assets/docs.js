// Opens Swagger UI on the contract, and signs in. A file of its own, because the page's policy takes no inline script.

// Swagger UI's stylesheet has a dark half for pages of this class.
document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);

const page = document.getElementById("swagger-ui");
const { root } = page.dataset;
const form = document.querySelector(".sign-in");
// The form does what the first is for; no page can send the second by hand.
const SCHEMES_OF_NO_USE = ["password", "refreshCookie"];
const SOONER = 30; // seconds before its end in which an access token is renewed

// What a reader does not see to be there must not be sent: an example of a filter hides what it does not fit, one of a
// key or of an entity tag has the second request refused.
function withoutExamples({ example, examples, ...parameter }, schemas) {
  const named = parameter.schema?.$ref?.split("/").pop();
  const { example: _, examples: __, ...schema } = named ? schemas[named] : (parameter.schema ?? {});
  return parameter.$ref ? parameter : { ...parameter, schema };
}

// The contract as this page shows it: what holds for all operations stands in the reference.
function shown(contract) {
  const { parameters, schemas, securitySchemes } = contract.components;
  for (const [name, one] of Object.entries(parameters)) parameters[name] = withoutExamples(one, schemas);
  const items = Object.values(contract.paths);
  const operations = items.flatMap((item) => Object.values(item).filter((one) => one.responses));
  for (const one of [...items, ...operations]) {
    if (one.parameters) one.parameters = one.parameters.map((each) => withoutExamples(each, schemas));
  }
  for (const scheme of SCHEMES_OF_NO_USE) {
    delete securitySchemes[scheme];
    for (const one of [contract, ...operations]) {
      if (one.security) one.security = one.security.filter((requirement) => !(scheme in requirement));
    }
  }
  for (const tag of contract.tags) tag.description = tag.description?.split(/\n\s*\n/)[0];
  return contract;
}

function show(contract) {
  const ui = SwaggerUIBundle({
    spec: shown(contract),
    domNode: page,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    docExpansion: "none",
    onComplete: () => {
      if (!location.hash) ui.layoutActions.show(["operations-tag", contract.tags[0].name], true);
    },
    persistAuthorization: false,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
  return ui;
}

// The JSON of an answer; what is wrong is told below the form.
async function ask(path, body, token) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  try {
    const answer = await fetch(`${root}/api/v1/auth/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const said = answer.status === 204 ? {} : await answer.json();
    if (answer.ok) return said;
    tell([said.detail, ...said.errors.map((fault) => `${fault.pointer.slice(1)}: ${fault.detail}`)].join("\n"));
  } catch {
    tell("The server does not answer.");
  }
  return null;
}

function tell(text) {
  form.querySelector("output").textContent = text;
}

function signsIn(ui) {
  const fields = form.querySelector("fieldset");
  const out = form.querySelector("button[value=out]");
  let session = null;
  let timer;

  function keep(next, email) {
    session = next;
    clearTimeout(timer);
    fields.hidden = fields.disabled = Boolean(session);
    out.hidden = !session;
    if (!session) {
      ui.authActions.logout(["bearer"]);
      return;
    }
    if (email) tell(`Signed in as ${email}.`);
    ui.preauthorizeApiKey("bearer", session.access_token);
    timer = setTimeout(renew, 1000 * Math.max(SOONER, session.expires_in - SOONER));
  }

  async function renew() {
    keep(await ask("refresh", { refresh_token: session.refresh_token }));
  }

  async function signIn(account, registers) {
    tell("");
    if (registers && !(await ask("register", account))) return;
    const next = await ask("login", account);
    if (next) keep(next, account.email);
  }

  async function signOut() {
    const { access_token } = session;
    keep(null);
    tell("");
    form.reset();
    await ask("logout", undefined, access_token);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const does = event.submitter?.value;
    if (does === "out") signOut();
    else signIn(Object.fromEntries(new FormData(form)), does === "register");
  });
}

fetch(`${root}/openapi.json`)
  .then((answer) => answer.json())
  .then((contract) => {
    const ui = show(contract);
    if (form) signsIn(ui);
  });
