// What AsyncAPI's own parser finds wrong with a document: one line each, nothing if it is right.
// usage: NODE_PATH=.../node_modules node check.js DOCUMENT
// That there is a newer version of AsyncAPI is no fault of the document.
const ALLOWED = 'asyncapi-latest-version';

const { Parser, fromFile } = require('@asyncapi/parser');

fromFile(new Parser(), process.argv[2]).parse().then(({ document, diagnostics }) => {
  for (const found of diagnostics.filter((one) => one.code !== ALLOWED && (one.severity < 2 || !document)))
    console.log(`${found.path.join('/')}: ${found.message}`);
  if (document)
    console.error(`${document.version()}: ${document.channels().length} channels`);
});
