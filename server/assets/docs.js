// Opens Swagger UI on the contract. A file of its own, because the page's policy takes no inline script.

// Swagger UI's stylesheet has a dark half for pages of this class.
document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);

const page = document.getElementById("swagger-ui");

// Takes a scheme out of the contract, so that nobody is offered to authorize by what the operator has turned off.
function leaveOut(scheme, contract) {
  delete contract.components.securitySchemes[scheme];
  const operations = Object.values(contract.paths).flatMap((path) => Object.values(path));
  for (const place of [contract, ...operations]) {
    if (place.security) place.security = place.security.filter((requirement) => !(scheme in requirement));
  }
  return contract;
}

function show(contract) {
  SwaggerUIBundle({
    ...contract,
    domNode: page,
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}

const without = page.dataset.without;
if (without === undefined) show({ url: "/openapi.json" });
else fetch("/openapi.json").then((answer) => answer.json()).then((contract) => show({ spec: leaveOut(without, contract) }));
