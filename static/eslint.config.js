import js from "@eslint/js";
import accessibility from "eslint-plugin-jsx-a11y";
import hooks from "eslint-plugin-react-hooks";
import globals from "globals";
import typescript from "typescript-eslint";

const LIVEKIT_ONLY_IN_ROOM = {
  group: ["livekit-client", "livekit-client/*", "@livekit/*"],
  message: "Only src/room talks to livekit-client.",
};

export default typescript.config(
  { ignores: ["dist", "node_modules"] },
  js.configs.recommended,
  typescript.configs.strictTypeChecked,
  typescript.configs.stylisticTypeChecked,
  {
    languageOptions: {
      globals: globals.browser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "no-restricted-imports": ["error", { patterns: [LIVEKIT_ONLY_IN_ROOM] }],
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text goes in as text." },
        { property: "dangerouslySetInnerHTML", message: "Text goes in as text." },
      ],
      eqeqeq: "error",
      "no-console": "error",
    },
  },
  {
    files: ["src/room/**"],
    rules: { "no-restricted-imports": ["error", { patterns: [{ group: ["../view/*", "react", "react-dom"], message: "room knows no views." }] }] },
  },
  {
    files: ["src/state/**"],
    languageOptions: { globals: Object.fromEntries(Object.keys(globals.browser).map((name) => [name, "off"])) },
    rules: {
      "no-restricted-imports": [
        "error",
        { patterns: [LIVEKIT_ONLY_IN_ROOM, { group: ["../*", "react", "react-dom"], message: "state is pure." }] },
      ],
      "no-restricted-globals": ["error", "window", "document", "navigator", "localStorage", "sessionStorage", "fetch", "setTimeout"],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: "The time is a parameter." },
        { object: "Math", property: "random", message: "Randomness is a parameter." },
        { object: "performance", property: "now", message: "The time is a parameter." },
      ],
    },
  },
  {
    files: ["src/view/**", "stories/**/*.tsx"],
    plugins: { "react-hooks": hooks },
    extends: [accessibility.flatConfigs.strict],
    rules: {
      ...hooks.configs.recommended.rules,
    },
  },
  {
    files: ["src/view/**"],
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: "JSXText[value=/[A-Za-zА-Яа-яЁё]/]", message: "Text comes from the locale files." },
        {
          selector: "JSXAttribute[name.name=/^(aria-label|aria-description|title|placeholder|alt)$/] > Literal[value=/./]",
          message: "Text comes from the locale files.",
        },
      ],
    },
  },
  { files: ["eslint.config.js"], extends: [typescript.configs.disableTypeChecked] },
);
