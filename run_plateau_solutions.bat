@cd /d "%~dp0" && set "PATH=%CD%\.venv\Scripts;%PATH%" && python -m unplateau.cli.main run-solutions %*
