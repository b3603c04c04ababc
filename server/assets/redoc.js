// Opens ReDoc on the contract. A file of its own, because the page's policy takes no inline script.
import { init } from "./redoc.standalone.js";

// With workers at hand, ReDoc's search makes script from text, which the policy forbids. Without, it searches in the page.
window.Worker = undefined;

const page = document.getElementById("redoc");
const { root } = page.dataset;

// The contract with the operations first: what holds for all of a tag comes after them, as a chapter of its own.
function operationsFirst(contract) {
  const rules = contract.tags.flatMap((tag) => {
    const [first, ...more] = tag.description.split(/\n\s*\n/);
    tag.description = first;
    return more.length ? [{ name: `What holds: ${tag.name}`, description: more.join("\n\n"), "x-traitTag": true }] : [];
  });
  contract.tags.push(...rules);
  return contract;
}

const contract = await (await fetch(`${root}/openapi.json`)).json();
init(
  operationsFirst(contract),
  {
    disableTelemetry: true,
    downloadUrls: [
      { title: "openapi.yaml", url: `${root}/openapi.yaml` },
      { title: "openapi.json", url: `${root}/openapi.json` },
    ],
  },
  page,
);
