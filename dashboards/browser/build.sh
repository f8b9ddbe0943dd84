#!/bin/sh
# Install Grafana's libraries (about 675 MB) into the folder $1, and build there the page that draws
# a dashboard (page/) and the JSON Schemas that dashboards are held against (schema/).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cp "$here/package.json" "$here/index.html" "$here/"*.jsx "$here/"*.js "$1/"
cd "$1"
npm install --legacy-peer-deps --no-audit --no-fund
mkdir -p page schema
cp index.html page/
npx esbuild main.jsx --bundle --minify --outfile=page/main.js --format=iife --jsx=transform \
  --loader:.svg=dataurl --loader:.woff2=dataurl --loader:.woff=dataurl --loader:.ttf=dataurl \
  --loader:.png=dataurl --define:process.env.NODE_ENV='"production"' --log-level=error
echo '{"compilerOptions": {"module": "esnext", "moduleResolution": "node", "skipLibCheck": true}}' \
  > tsconfig.json
raw=node_modules/@grafana/schema/dist/types/raw
schema() { # file, type, output
  npx ts-json-schema-generator --path "$raw/$1/x/types.gen.d.ts" --type "$2" --no-type-check \
    --tsconfig tsconfig.json -o "schema/$3.json"
}
schema dashboard Dashboard dashboard
for panel in bargauge heatmap stat statetimeline table timeseries xychart; do
  schema "composable/$panel/panelcfg" Options "$panel-options"
  schema "composable/$panel/panelcfg" FieldConfig "$panel-custom"
done
schema composable/text/panelcfg Options text-options
