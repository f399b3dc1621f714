@cd /d "%~dp0" && set "PATH=%~dp0.venv\Scripts;%PATH%" && python -m unplateau.cli.main run-solutions %*
