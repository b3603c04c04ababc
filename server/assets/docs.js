// Opens Swagger UI on the contract. A file of its own, because the page's policy takes no inline script.

// Swagger UI's stylesheet has a dark half for pages of this class.
document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);

SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("swagger-ui"),
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
});
