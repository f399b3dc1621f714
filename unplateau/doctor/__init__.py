"""Whether this machine can train: facts gathered (`measure`), judged (`judge*`) and put in words (`text`). Imports no torch."""
