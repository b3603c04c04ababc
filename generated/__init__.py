"""Written by scripts/regen.sh from openapi.yaml; do not edit."""
