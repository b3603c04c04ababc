// Opens ReDoc on the contract. A file of its own, because the page's policy takes no inline script.
import { init } from "./redoc.standalone.js";

// With workers at hand, ReDoc's search makes script from text, which the policy forbids. Without, it searches in the page.
window.Worker = undefined;

init(
  "/openapi.json",
  {
    disableTelemetry: true,
    downloadUrls: [
      { title: "openapi.yaml", url: "/openapi.yaml" },
      { title: "openapi.json", url: "/openapi.json" },
    ],
  },
  document.getElementById("redoc"),
);
