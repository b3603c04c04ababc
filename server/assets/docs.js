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

// The JSON of an answer, or of a problem with one of these codes; what else is wrong is told below the form.
async function ask(path, body, { token, codes = [] } = {}) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  try {
    const answer = await fetch(`${root}/api/v1/auth/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await answer.text(); // 202 and 204 have none
    const said = text ? JSON.parse(text) : {};
    if (answer.ok || codes.includes(said.code)) return said;
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
  const [account, factor] = form.querySelectorAll("fieldset");
  // Where each button is of use. The one without a value is the first: Enter presses that one.
  const places = { "": [account, factor], register: [account], back: [factor], out: [null] };
  let session = null;
  let challenge = null;
  let timer;

  // The part of the form that is asked for: the account, the code of its second factor, or none of them.
  function open(part) {
    for (const one of [account, factor]) one.hidden = one.disabled = one !== part;
    for (const button of form.querySelectorAll("button")) button.hidden = !places[button.value].includes(part);
    factor.querySelector("input").value = "";
  }

  function keep(next) {
    session = next;
    clearTimeout(timer);
    open(session ? null : account);
    if (!session) {
      ui.authActions.logout(["bearer"]);
      return;
    }
    ui.preauthorizeApiKey("bearer", session.access_token);
    timer = setTimeout(renew, 1000 * Math.max(SOONER, session.expires_in - SOONER));
  }

  async function renew() {
    keep(await ask("refresh", { refresh_token: session.refresh_token }));
  }

  function enter(next) {
    keep(next);
    tell(`Signed in as ${next.user.email}.`);
  }

  async function register(typed) {
    tell("");
    const made = await ask("register", typed);
    if (made?.id) await signIn(typed);
    else if (made) tell("A mail is on its way to this address. Follow its link, then sign in.");
  }

  async function signIn(typed) {
    tell("");
    const next = await ask("login", typed, { codes: ["mfa_required"] });
    if (next?.challenge) {
      challenge = next.challenge;
      open(factor);
      factor.querySelector("input").focus();
      tell("The code that the app shows now, or one to recover by.");
    } else if (next) enter(next);
  }

  async function complete(code) {
    tell("");
    const next = await ask("login/totp", { challenge, code }, { codes: ["invalid_challenge"] });
    if (next?.access_token) enter(next);
    else if (next) startOver(next.detail);
  }

  function startOver(why) {
    open(account);
    tell(why);
  }

  async function signOut() {
    const { access_token: token } = session;
    keep(null);
    tell("");
    form.reset();
    await ask("logout", undefined, { token });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const does = event.submitter?.value;
    const typed = Object.fromEntries(new FormData(form)); // of the part that is open
    if (does === "out") signOut();
    else if (does === "back") startOver("");
    else if (does === "register") register(typed);
    else if (factor.hidden) signIn(typed);
    else complete(typed.code);
  });
}

fetch(`${root}/openapi.json`)
  .then((answer) => answer.json())
  .then((contract) => {
    const ui = show(contract);
    if (form) signsIn(ui);
  });
