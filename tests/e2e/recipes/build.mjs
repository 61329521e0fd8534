/** Bundles a page's script, recipes included: node build.mjs <node_modules> <entry> <outfile>. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const [modules, entry, outfile] = process.argv.slice(2);
const load = createRequire(`${modules}/`);

const vue = {
  name: "vue",
  setup(build) {
    const { parse, compileScript } = load("@vue/compiler-sfc");
    build.onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const isCustomElement = (tag) => tag === "attendance-status";
      const templateParseOptions = { isCustomElement };
      const { descriptor } = parse(await readFile(path, "utf8"), { templateParseOptions });
      const templateOptions = { compilerOptions: { isCustomElement } };
      const { content } = compileScript(descriptor, { id: "recipe", inlineTemplate: true, templateOptions });
      return { contents: content, loader: "js" };
    });
  },
};

const svelte = {
  name: "svelte",
  setup(build) {
    build.onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      const { compile } = await import(`${modules}/svelte/src/compiler/index.js`);
      const { js } = compile(await readFile(path, "utf8"), { generate: "client", filename: path });
      return { contents: js.code, loader: "js" };
    });
  },
};

await load("esbuild").build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  format: "esm",
  jsx: "automatic",
  conditions: ["browser", "development"],
  define: { "process.env.NODE_ENV": '"development"', __VUE_OPTIONS_API__: "true", __VUE_PROD_DEVTOOLS__: "false", __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false" },
  nodePaths: [modules],
  plugins: [vue, svelte],
  logLevel: "warning",
});
